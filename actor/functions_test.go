package tcpactor_test

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

func TestThreeFunctionsThreadTheirState(t *testing.T) {
	var last string
	b := makeHandler(t, tcpactor.Functions[string]{
		Accept: func(s protocol.Socket) (string, error) {
			assert.Same(t, socket, s)
			return "accept", nil
		},
		Read: func(state string, s protocol.Socket, buffer *protocol.Buffer) (string, error) {
			assert.Same(t, socket, s)
			return state + " " + string(buffer.Next(buffer.Len())), errUser
		},
		Close: func(state string, closed *protocol.Closed) { last = state + " " + closed.Reason.String() },
	})
	read := func(s string) *protocol.Data {
		return &protocol.Data{Socket: socket, Buffer: protocol.NewBuffer([]byte(s))}
	}
	require.NoError(t, b.tell(life[0]))
	require.ErrorIs(t, b.tell(read("one")), errUser)
	require.ErrorIs(t, b.tell(read("two")), errUser)
	for _, event := range life[2:] {
		require.NoError(t, b.tell(event))
	}
	assert.Equal(t, "accept one two peer closed", last, "the state after an error is the one returned with it")
}

func TestAnAcceptThatRefusesIsAnError(t *testing.T) {
	b := makeHandler(t, tcpactor.Functions[int]{Accept: func(protocol.Socket) (int, error) { return 0, errUser }})
	require.ErrorIs(t, b.tell(life[0]), errUser)
}

func TestWithoutAcceptTheStateIsZeroAndWithoutCloseNothingHappens(t *testing.T) {
	states := make(chan int, 1)
	b := makeHandler(t, tcpactor.Functions[int]{Read: func(state int, _ protocol.Socket, _ *protocol.Buffer) (int, error) {
		states <- state
		return 0, nil
	}})
	for _, event := range life {
		require.NoError(t, b.tell(event))
	}
	assert.Zero(t, receive(t, states))
}

func TestFunctionsWithoutReadAreRefused(t *testing.T) {
	assert.EqualError(t, tcpactor.Functions[int]{}.Validate(), "berth: Functions needs a Read")
	read := func(s int, _ protocol.Socket, _ *protocol.Buffer) (int, error) { return s, nil }
	assert.NoError(t, tcpactor.Functions[int]{Read: read}.Validate())
}

// userActor tells what it receives.
type userActor struct{ got chan any }

func (a userActor) Receive(ctx actor.Context) { a.got <- ctx.Message() }

func TestTheUsersActorReceivesEventsAndMessagesAlike(t *testing.T) {
	got := make(chan any, 1)
	b := makeHandler(t, tcpactor.Actors(func() actor.Actor { return userActor{got} }))
	for _, message := range append(life, "hello", 42, []int{1}, &actor.Terminated{}) {
		require.NoError(t, b.tell(message))
		assert.Equal(t, message, receive(t, got))
	}
	assert.Empty(t, b.dead)
}

// An event comes up while another message is handled, and comes back through Receive, as with
// connection.Connection.
func TestAnEventInsideAnotherMessageIsTheContextsMessageToo(t *testing.T) {
	got := make(chan any, 1)
	receiver := tcpactor.Actors(func() actor.Actor { return userActor{got} }).Open()
	event := &protocol.Accepted{Socket: socket}
	system := newSystem()
	pid := system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case string:
			assert.NoError(t, receiver.Receive(ctx, event)) // ctx.Message is gone afterwards: Proto.Actor does not nest
		case *protocol.Accepted:
			assert.NoError(t, receiver.Receive(ctx, m))
		}
	}))
	defer stop(t, system, pid)
	system.Root.Send(pid, "outer")
	assert.Same(t, event, receive(t, got))
}
