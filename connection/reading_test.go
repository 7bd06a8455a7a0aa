package connection

import (
	"io"
	"syscall"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// ending is a socket whose input is at its end.
type ending struct{ taker }

func (*ending) Ready(int) bool                          { return true }
func (*ending) Fill(*transport.Input, int) (int, error) { return 0, io.EOF }

// events notes what a handler is told.
type events struct{ all []any }

func (e *events) Receive(_ actor.Context, message any) error {
	e.all = append(e.all, message)
	return nil
}

func TestAnAbortEndsTheWaitForTheLastWords(t *testing.T) {
	for _, aborted := range []bool{false, true} {
		c := newConnection(Options{}, &ending{})
		c.input.Filled(copy(c.input.Space(10), "unread"), c.input.Space(10))
		c.setCause(c.classify("read", syscall.ECONNRESET))
		c.leaveOpen(true)
		c.flags.forced, c.flags.aborted = resumed, aborted
		c.signals.Store(0)
		_, shown := c.Pull().(*protocol.Data)
		assert.Equal(t, !aborted, shown)
	}
}

// A write has heard of the reset first, so that is the reason of the end. Its signal comes to a
// turn after the handler's failure.
func TestAHandlerThatHasFailedIsShownNoLastWords(t *testing.T) {
	for _, failed := range []bool{false, true} {
		c := newConnection(Options{}, &ending{})
		c.input.Filled(copy(c.input.Space(10), "unread"), c.input.Space(10))
		c.setCause(c.classify("write", syscall.ECONNRESET))
		if failed {
			c.failed(nil, protocol.ReasonHandlerPanic, io.ErrUnexpectedEOF)
		}
		c.leaveOpen(true)
		c.flags.forced = resumed
		c.signals.Store(0)
		_, shown := c.Pull().(*protocol.Data)
		assert.Equal(t, !failed, shown)
	}
}

func TestAnEndOfInputIsTakenForTheResetThatWritingHeardOf(t *testing.T) {
	for _, reset := range []bool{false, true} {
		c, told := newConnection(Options{KeepOpenOnPeerClosed: true}, &ending{}), &events{}
		c.receiver = told
		c.input.Filled(copy(c.input.Space(10), "unread"), c.input.Space(10))
		if reset { // the kernel told only the writer: to the reader the socket is at its end
			c.setCause(c.classify("read", syscall.ECONNRESET))
		}
		shown := c.fetch()
		c.inputEnded(nil)
		data, ok := shown.(*protocol.Data)
		assert.Equal(t, !reset, ok && data.EOF, "as the last Data, marked EOF")
		assert.Equal(t, !reset, len(told.all) == 1, "PeerClosed")
		if reset {
			assert.Equal(t, flushing, c.state())
			assert.Equal(t, protocol.ReasonPeerReset, c.cause.Load().reason)
		}
	}
}

// resetSocket is a socket that the peer has reset. The reader is told the end of the input, because
// the writer has heard of the reset already.
type resetSocket struct {
	ending
	reset bool
}

func (s *resetSocket) Broken() bool { return s.reset }

func TestAnEndOfInputWaitsForTheWriteThatHasHeardOfTheReset(t *testing.T) {
	for _, reset := range []bool{false, true} {
		c := newConnection(Options{ReadGate: GateOff}, &resetSocket{reset: reset})
		c.input.Filled(copy(c.input.Space(10), "unread"), c.input.Space(10))
		_, err := c.Write([]byte("under way"))
		require.NoError(t, err)
		data, shown := c.fetch().(*protocol.Data)
		assert.Equal(t, !reset, shown && data.EOF)
		assert.Equal(t, !reset, c.flags.inputEnded)
	}
}

// wakeUps is a dispatcher that counts turns and runs none.
type wakeUps struct{ n int }

func (w *wakeUps) Schedule(func()) { w.n++ }
func (*wakeUps) Throughput() int   { return 1 }

// The kernel has taken the write before the reset came. Then no error of writing ends the
// connection.
func TestAnEndOfInputThatHasWaitedForAWriteComesWhenThatHasGoneOut(t *testing.T) {
	for name, gate := range map[string]Gate{"off": GateOff, "low water": GateLowWater} {
		c, woken := newConnection(Options{ReadGate: gate}, &resetSocket{reset: true}), &wakeUps{}
		const text = "under way"
		_, err := c.Write([]byte(text))
		require.NoError(t, err)
		require.Nil(t, c.fetch())
		c.rest()
		c.mailbox.RegisterHandlers(nil, woken)
		c.writer.inbox.drainTo(&c.writer.queue)
		c.writer.wrote(len(text))
		assert.Equal(t, 1, woken.n, name)
		c.fetch()
		assert.True(t, c.flags.inputEnded, name)
	}
}
