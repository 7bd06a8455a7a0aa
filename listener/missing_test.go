package listener

import (
	"net"
	"os"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
)

// What is missing in a call is one clear sentence, not a panic here or in every connection.

// withoutFunctions are handlers that could serve no connection, each with the sentence about it.
var withoutFunctions = []struct {
	factory  tcpactor.Factory
	sentence string
}{
	{nil, "berth: no handler: give one of HandlerFunc, Handlers, Functions, Actors"},
	{(*tcpactor.Functions[int])(nil), "berth: no handler: give one of HandlerFunc, Handlers, Functions, Actors"},
	{tcpactor.HandlerFunc(nil), "berth: no HandlerFunc: it is nil"},
	{tcpactor.Handlers(nil), "berth: Handlers needs a function that makes a Handler"},
	{tcpactor.Actors(nil), "berth: Actors needs a function that makes an actor"},
	{tcpactor.Functions[int]{}, "berth: Functions needs a Read"},
	{tcpactor.Wrap(nil, unchanged), "berth: Wrap needs a handler to wrap"},
	{tcpactor.Wrap(tcpactor.Actors(nil), unchanged), "berth: Actors needs a function that makes an actor"},
	{tcpactor.Wrap(of(newEcho()), nil), "berth: Wrap needs a function to put around the handler"},
}

// A function that returns nothing is known once it is called.
func TestAFunctionThatReturnsNilEndsItsConnectionWithOneSentence(t *testing.T) {
	for sentence, factory := range map[string]tcpactor.Factory{
		"berth: no Handler: the function given to Handlers returned nil": tcpactor.Handlers(func() tcpactor.Handler { return nil }),
		"berth: no actor: the function given to Actors returned nil":     tcpactor.Actors(func() actor.Actor { return nil }),
		"berth: no Receiver: the function given to Wrap returned nil": tcpactor.Wrap(of(newEcho()),
			func(tcpactor.Receiver) tcpactor.Receiver { return nil }),
	} {
		overEach(t, func(t *testing.T, o Options) {
			w := newWorld()
			l := w.listen(t, factory, o)
			dial(t, l)
			eventually(t, func() bool { return len(published[*connection.Closed](w)) > 0 })
			require.NoError(t, l.Close())
			failed := published[*connection.HandlerFailed](w)
			require.Len(t, failed, 1)
			assert.ErrorContains(t, failed[0].Err, sentence)
		})
	}
}

func unchanged(next tcpactor.Receiver) tcpactor.Receiver { return next }

func TestAHandlerWithoutItsFunctionIsAnErrorFromTheStart(t *testing.T) {
	w := newWorld()
	running := w.listen(t, of(newEcho()), Options{})
	dialer, err := NewDialer(w.Root, Options{})
	require.NoError(t, err)
	defer dialer.Close()
	for _, one := range withoutFunctions {
		factory, sentence := one.factory, one.sentence
		_, err := Listen(w.Root, anyPort, factory, Options{})
		assert.EqualError(t, err, sentence)
		l, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		_, err = Serve(w.Root, l, factory, Options{})
		assert.EqualError(t, err, sentence)
		assert.NoError(t, l.Close(), "it still belongs to the caller")
		assert.EqualError(t, running.SetHandler(factory), sentence)
		_, err = running.Dial(t.Context(), running.Addr().String(), factory, DialOptions{})
		assert.EqualError(t, err, sentence)
		_, err = dialer.Dial(t.Context(), running.Addr().String(), factory, DialOptions{})
		assert.EqualError(t, err, sentence)
	}
}

func TestWithoutASpawnerNothingIsStarted(t *testing.T) {
	const sentence = "berth: no spawner: give an actor system's Root, or the context of an actor"
	_, err := Listen(nil, anyPort, of(newEcho()), Options{})
	assert.EqualError(t, err, sentence)
	var none *actor.RootContext
	_, err = Listen(none, anyPort, of(newEcho()), Options{})
	assert.EqualError(t, err, sentence)
	l, err := net.Listen("tcp", anyPort)
	require.NoError(t, err)
	_, err = Serve(nil, l, of(newEcho()), Options{})
	assert.EqualError(t, err, sentence)
	require.NoError(t, l.Close())
	_, err = NewDialer(nil, Options{})
	assert.EqualError(t, err, sentence)
}

func TestANilNetListenerIsAnError(t *testing.T) {
	w := newWorld()
	for _, none := range []net.Listener{nil, (*net.TCPListener)(nil), (*net.UnixListener)(nil)} {
		_, err := Serve(w.Root, none, of(newEcho()), Options{})
		assert.EqualError(t, err, "berth: no net.Listener to serve")
	}
	assert.Empty(t, w.actors())
}

// On every transport, so that no program depends on the one that tells it.
func TestASocketThatIsClosedAlreadyIsAnErrorFromTheStart(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		l, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		require.NoError(t, conn.Close())
		require.NoError(t, l.Close())
		_, err = Serve(w.Root, l, of(newEcho()), o)
		assert.ErrorContains(t, err, "berth: the net.Listener to serve: ")
		assert.ErrorIs(t, err, net.ErrClosed)
		_, err = w.listen(t, of(newEcho()), o).Adopt(t.Context(), conn, of(newEcho()), DialOptions{})
		assert.ErrorContains(t, err, "berth: the net.Conn to adopt: ")
		assert.ErrorIs(t, err, net.ErrClosed)
	})
}

func TestAWaitWithoutAConditionIsAnError(t *testing.T) {
	w := newWorld()
	d, err := NewDialer(w.Root, Options{})
	require.NoError(t, err)
	const sentence = "berth: no condition to wait for"
	assert.EqualError(t, w.listen(t, of(newEcho()), Options{}).WaitConnections(t.Context(), nil), sentence)
	assert.EqualError(t, d.WaitConnections(t.Context(), nil), sentence)
	require.NoError(t, d.Close())
}

func TestReexecWithoutAListenerIsAnError(t *testing.T) {
	good := newWorld().listen(t, of(newEcho()), Options{})
	before := descriptors()
	for _, listeners := range [][]*Listener{nil, {nil}, {good, nil}} {
		_, err := Reexec(t.Context(), nil, listeners...)
		assert.EqualError(t, err, "berth: no listener to hand over")
	}
	assert.Equal(t, before, descriptors())
}

func TestAWriteOfNothingThatIsThereIsAnErrorAndTheConnectionLivesOn(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		e := newEcho()
		c := dial(t, newWorld().listen(t, of(e), o))
		socket := receive(t, e.accepted)
		n, err := socket.Forward(nil)
		assert.EqualError(t, err, "berth: no buffer to forward")
		assert.Zero(t, n)
		for _, none := range []*os.File{nil, new(os.File)} {
			err := socket.WriteFile(none, 0, 1, func(error) { t.Error("done must not run") })
			assert.EqualError(t, err, "berth: no file to write: invalid argument")
			assert.ErrorIs(t, err, os.ErrInvalid)
		}
		echoes(t, c)
	})
}
