package tcpactor_test

import (
	"errors"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// aSocket has no methods that may be called: the factories only hand it on.
type aSocket struct{ protocol.Socket }

var (
	socket  = &aSocket{}
	errUser = errors.New("the handler's own")
)

// behind is a connection without a socket: it gives messages to a factory's receiver and keeps the
// errors.
type behind struct {
	t      *testing.T
	system *actor.ActorSystem
	pid    *actor.PID
	errs   chan error
	dead   chan any
}

func makeHandler(t *testing.T, factory tcpactor.Factory) *behind {
	b := &behind{t: t, system: newSystem(), errs: make(chan error, 1), dead: make(chan any, 100)}
	b.system.EventStream.Subscribe(func(event any) {
		if dead, ok := event.(*actor.DeadLetterEvent); ok {
			b.dead <- dead
		}
	})
	var receiver tcpactor.Receiver
	b.pid = b.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case *actor.Started:
			receiver = factory.Open()
		case *actor.Stopping, *actor.Stopped:
		default:
			b.errs <- receiver.Receive(ctx, ctx.Message())
		}
	}))
	t.Cleanup(func() { stop(t, b.system, b.pid) })
	return b
}

// tell sends a message and returns the receiver's result.
func (b *behind) tell(message any) error {
	b.t.Helper()
	b.system.Root.Send(b.pid, message)
	return receive(b.t, b.errs)
}

// plain is a handler without any of the optional interfaces.
type plain struct {
	calls []string
	err   error
}

func (h *plain) call(name string) error {
	h.calls = append(h.calls, name)
	return h.err
}

func (h *plain) Accepted(protocol.Socket) error { return h.call("accepted") }
func (h *plain) Data(_ protocol.Socket, b *protocol.Buffer) error {
	return h.call("data " + string(b.Bytes()))
}
func (h *plain) Closed(_ protocol.Socket, closed *protocol.Closed) {
	_ = h.call("closed: " + closed.Reason.String())
}

// full is a handler with all of them.
type full struct{ plain }

func (h *full) PeerClosed(protocol.Socket) error { return h.call("peer closed") }
func (h *full) Writable(_ protocol.Socket, ready bool) error {
	return h.call(map[bool]string{true: "ready", false: "not ready"}[ready])
}
func (h *full) Draining(protocol.Socket, time.Time) error { return h.call("draining") }
func (h *full) Message(ctx actor.Context, s protocol.Socket, message any) error {
	ctx.Respond(s)
	return h.call(message.(string))
}

var life = []any{
	&protocol.Accepted{Socket: socket},
	&protocol.Data{Socket: socket, Buffer: protocol.NewBuffer([]byte("bytes"))},
	&protocol.Writable{Socket: socket},
	&protocol.Writable{Socket: socket, Ready: true},
	&protocol.PeerClosed{Socket: socket},
	&protocol.Draining{Socket: socket},
	&protocol.Closed{Socket: socket, Reason: protocol.ReasonPeerClosed},
}

func TestAHandlerGetsTheEventsItHasMethodsFor(t *testing.T) {
	p, f := &plain{}, &full{}
	for _, one := range []struct {
		handler tcpactor.Handler
		calls   *[]string
		want    []string
	}{
		{p, &p.calls, []string{"accepted", "data bytes", "closed: peer closed"}},
		{f, &f.calls, []string{"accepted", "data bytes", "not ready", "ready", "peer closed", "draining", "closed: peer closed"}},
	} {
		b := makeHandler(t, tcpactor.Handlers(func() tcpactor.Handler { return one.handler }))
		for _, event := range life {
			require.NoError(t, b.tell(event))
		}
		assert.Equal(t, one.want, *one.calls)
		assert.Empty(t, b.dead)
	}
}

func TestAHandlersErrorIsTheReceivers(t *testing.T) {
	b := makeHandler(t, tcpactor.Handlers(func() tcpactor.Handler { return &full{plain{err: errUser}} }))
	for _, event := range life[:len(life)-1] {
		require.ErrorIs(t, b.tell(event), errUser, "%T", event)
	}
	require.ErrorIs(t, b.tell("message"), errUser)
}

func TestAHandlerIsMadeForEachConnection(t *testing.T) {
	made := 0
	factory := tcpactor.Handlers(func() tcpactor.Handler { made++; return &plain{} })
	one, two := factory.Open(), factory.Open()
	assert.NotSame(t, one, two)
	assert.Equal(t, 2, made)
}

func TestAMessageGoesToTheHandlerThatWantsItWithItsSender(t *testing.T) {
	f := &full{}
	b := makeHandler(t, tcpactor.Handlers(func() tcpactor.Handler { return f }))
	require.NoError(t, b.tell(life[0]))
	answer := b.system.Root.RequestFuture(b.pid, "hello", patience)
	require.NoError(t, receive(t, b.errs))
	got, err := answer.Result()
	require.NoError(t, err)
	assert.Same(t, socket, got, "with the socket that Accepted brought")
	assert.Equal(t, []string{"accepted", "hello"}, f.calls)
}

func TestAnUnwantedMessageIsADeadLetter(t *testing.T) {
	for name, factory := range map[string]tcpactor.Factory{
		"Handlers":  tcpactor.Handlers(func() tcpactor.Handler { return &plain{} }),
		"Functions": tcpactor.Functions[int]{},
	} {
		b := makeHandler(t, factory)
		require.NoError(t, b.tell("unwanted"), name)
		dead := receive(t, b.dead).(*actor.DeadLetterEvent)
		assert.Equal(t, "unwanted", dead.Message, name)
		assert.True(t, b.pid.Equal(dead.PID), name)
		require.NoError(t, b.tell(&actor.Terminated{Who: b.pid}), name)
		assert.Empty(t, b.dead, "the end of an actor that was not watched is none")
	}
}

func TestAFactorySaysWhetherItsHandlerDrainsItself(t *testing.T) {
	drains := func(factory tcpactor.Factory) bool {
		d, ok := factory.Open().(tcpactor.Drainer)
		return ok && d.Drains()
	}
	assert.False(t, drains(tcpactor.Handlers(func() tcpactor.Handler { return &plain{} })))
	assert.True(t, drains(tcpactor.Handlers(func() tcpactor.Handler { return &full{} })))
	assert.False(t, drains(tcpactor.Functions[int]{}))
}
