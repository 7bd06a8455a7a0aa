package listener

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// arrived waits until the other end's kernel has all that was written: until it has acknowledged
// it.
func arrived(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	require.NoError(t, err)
	eventually(t, func() bool {
		left, problem := 1, error(nil)
		err := raw.Control(func(fd uintptr) { left, problem = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ) })
		return err == nil && problem == nil && left == 0
	})
}

// The clients had sent something while they waited: a plain close would answer it with a reset.
func TestARejectMessageReachesAClientThatHasSent(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnections = 1
		l := w.listen(t, of(newEcho()), o)
		first := dial(t, l)
		echoes(t, first)
		clients := make([]net.Conn, 20)
		for i := range clients {
			clients[i] = dial(t, l)
			_, err := clients[i].Write(make([]byte, 10<<10))
			require.NoError(t, err)
			arrived(t, clients[i])
		}
		o.WhenFull, o.RejectMessage = Reject, []byte(busy)
		require.NoError(t, l.SetOptions(o))
		for _, c := range clients {
			assert.Equal(t, busy, words(t, c))
			_, err := c.Write([]byte("x"))
			assert.NoError(t, err, "a reset would have told us already")
		}
	})
}
