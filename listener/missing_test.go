package listener

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
)

// What is missing in a call is one clear sentence, not a panic here or in every connection.

// withoutFunctions are handlers that could serve no connection, each with the sentence about it.
var withoutFunctions = []struct {
	factory  tcpactor.Factory
	sentence string
}{
	{nil, "berth: no handler: give one of Handlers, Functions, Actors"},
	{tcpactor.HandlerFunc(nil), "berth: no HandlerFunc: it is nil"},
	{tcpactor.Handlers(nil), "berth: Handlers needs a function that makes a Handler"},
	{tcpactor.Actors(nil), "berth: Actors needs a function that makes an actor"},
	{tcpactor.Functions[int]{}, "berth: Functions needs a Read"},
	{tcpactor.Wrap(nil, unchanged), "berth: Wrap needs a handler to wrap"},
	{tcpactor.Wrap(tcpactor.Actors(nil), unchanged), "berth: Actors needs a function that makes an actor"},
	{tcpactor.Wrap(of(newEcho()), nil), "berth: Wrap needs a function to put around the handler"},
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
