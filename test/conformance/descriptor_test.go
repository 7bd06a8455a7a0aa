package conformance

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

func TestTheStateOfTLSIsThereFromAcceptedOn(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		complete := make(chan bool, 1)
		play := script{accepted: func(t *tape) error {
			state := t.socket.TLS()
			complete <- state != nil && state.HandshakeComplete
			return nil
		}}
		_, tape := w.serve(play, connection.Options{}).connect()
		assert.Equal(t, w.network.secured, <-complete)
		tape.socket.Abort()
		tape.ended()
		assert.Equal(t, w.network.secured, tape.socket.TLS() != nil, "it stays")
	})
}

func TestTheDescriptorIsThereUntilTheEnd(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{}).connect()
		raw, err := tape.socket.SyscallConn()
		if w.network.virtual() {
			require.ErrorIs(t, err, protocol.ErrNoDescriptor)
			return
		}
		require.NoError(t, err)
		var descriptor uintptr
		require.NoError(t, raw.Control(func(fd uintptr) { descriptor = fd }))
		assert.Greater(t, descriptor, uintptr(2))
		assert.ErrorIs(t, raw.Read(func(uintptr) bool { return true }), protocol.ErrNoDescriptor)
		assert.ErrorIs(t, raw.Write(func(uintptr) bool { return true }), protocol.ErrNoDescriptor)
		tape.socket.Abort()
		tape.ended()
		assert.ErrorIs(t, raw.Control(func(uintptr) { assert.Fail(t, "called after the end") }), protocol.ErrNoDescriptor)
		_, err = tape.socket.SyscallConn()
		assert.ErrorIs(t, err, protocol.ErrNoDescriptor)
	})
}
