package connection

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// ready is a polled socket that takes bytes.
type ready struct{ taker }

func (s *ready) Blocks() bool { return false }

// The dispatcher never runs a turn, so what is done has been done by the calling goroutine.
func TestAWriteAtOnceIsWithTheKernelWhenItReturns(t *testing.T) {
	socket := &ready{taker{allow: 100}}
	c := newConnection(Options{}, socket)
	c.writer.mailbox.RegisterHandlers(turns{&c.writer}, asleep{})
	c.writer.mailbox.Start()
	c.writer.open()
	n, err := c.WriteAtOnce(t.Context(), []byte("hello"))
	require.NoError(t, err)
	assert.Equal(t, 5, n)
	assert.Equal(t, "hello", string(socket.took))
	assert.True(t, c.credit.idle())
}

func TestAWriteAtOnceThatWouldBlockIsLeftToTheWriter(t *testing.T) {
	socket := &taker{allow: 100}
	c := newConnection(Options{}, socket)
	c.writer.mailbox.RegisterHandlers(turns{&c.writer}, asleep{})
	c.writer.mailbox.Start()
	c.writer.open()
	_, err := c.WriteAtOnce(t.Context(), []byte("hello"))
	require.NoError(t, err)
	assert.Empty(t, socket.took)
	assert.False(t, c.credit.idle())
}

// attends runs the turns of a connection without its actor.
type attends struct{ c *Connection }

func (a attends) InvokeUserMessage(message any) {
	if message == attendNow {
		a.c.attend(nil)
	}
}
func (attends) InvokeSystemMessage(any)  {}
func (attends) EscalateFailure(_, _ any) {}

func TestAResumeAtOnceHasTakenEffectWhenItReturns(t *testing.T) {
	c := newConnection(Options{KeepOpenOnPeerClosed: true}, &silent{})
	c.mailbox.RegisterHandlers(attends{c}, asleep{})
	c.paused.Store(true)
	c.ResumeAtOnce()
	assert.False(t, c.paused.Load())
}

func TestAResumeAtOnceLeavesTheTurnToADispatcherOfTheCallers(t *testing.T) {
	c := newConnection(Options{Dispatcher: asleep{}}, &silent{})
	c.mailbox.RegisterHandlers(attends{c}, asleep{})
	c.paused.Store(true)
	c.ResumeAtOnce()
	assert.True(t, c.paused.Load())
	assert.NotZero(t, c.signals.Load()&signalResume)
	assert.Equal(t, protocol.StateOpen, c.state())
}

// silent is a socket without input.
type silent struct{ taker }

func (*silent) Ready(int) bool { return false }
