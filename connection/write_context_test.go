package connection

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// full is a polled socket whose kernel takes nothing, and which counts how often it is asked.
type full struct {
	taker
	asked atomic.Int64
	spun  func()
}

func (s *full) Blocks() bool { return false }

func (s *full) Writev([][]byte) (int, error) {
	if s.asked.Add(1) == 1000 {
		s.spun()
	}
	return 0, transport.ErrAgain
}

// turns runs the turns of a writer without its actor.
type turns struct{ w *writer }

func (t turns) InvokeUserMessage(any)   { t.w.work() }
func (t turns) InvokeSystemMessage(any) {}
func (t turns) EscalateFailure(_, _ any) {
}

// The writer announces that the kernel takes no more. A write that waits for room has just asked
// the writer for that. The answer must not wake it: it would ask for ever.
func TestAWaitForRoomAsksTheKernelOnceOrTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		socket := &full{spun: cancel}
		c := newConnection(Options{WriteQueueSize: 1}, socket)
		c.writer.mailbox.RegisterHandlers(turns{&c.writer}, asleep{})
		c.writer.mailbox.Start()
		_, err := c.Write([]byte("fills the queue"))
		require.NoError(t, err)
		waited := make(chan error)
		go func() {
			_, err := c.WriteContext(ctx, []byte("waits"))
			waited <- err
		}()
		synctest.Wait()
		assert.Positive(t, socket.asked.Load())
		assert.LessOrEqual(t, socket.asked.Load(), int64(2))
		cancel()
		assert.ErrorIs(t, <-waited, context.Canceled)
	})
}
