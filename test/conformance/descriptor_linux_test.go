package conformance

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth/connection"
)

func TestAUnixSocketTellsItsPeersCredentials(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		if w.network.family != "unix" {
			t.Skip("only unix sockets know them")
		}
		_, tape := w.serve(script{}, connection.Options{}).connect()
		raw, err := tape.socket.SyscallConn()
		require.NoError(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			peer, err := unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
			require.NoError(t, err)
			assert.EqualValues(t, os.Getpid(), peer.Pid)
		}))
	})
}
