package listener

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Clients that have connected, and sent something, when the shutdown begins are partly in the
// kernel's backlog still. They are served like the others. A close of the listening socket before
// their accepts would reset them.
func TestAShutdownServesTheClientsInTheBacklog(t *testing.T) {
	t.Parallel() // it mostly waits
	overEach(t, func(t *testing.T, o Options) {
		serveTheBacklog(t, o)
	})
}

func TestAShutdownServesTheClientsInTheBacklogOfEverySocket(t *testing.T) {
	t.Parallel() // it mostly waits
	if !reusePortSupported {
		t.Skip("no SO_REUSEPORT here")
	}
	overEach(t, func(t *testing.T, o Options) {
		o.Acceptors, o.ReusePort = fourAcceptors, true
		serveTheBacklog(t, o)
	})
}

func serveTheBacklog(t *testing.T, o Options) {
	const rounds, clients = 10, 16
	w := newWorld()
	o.Connection.DrainQuiet = 250 * time.Millisecond
	for range rounds {
		l, err := Listen(w.Root, anyPort, of(&echo{}), o)
		require.NoError(t, err)
		var connected, served sync.WaitGroup
		connected.Add(clients)
		for range clients {
			served.Go(func() {
				c, err := net.Dial("tcp", l.Addr().String())
				if assert.NoError(t, err) {
					_, err = c.Write([]byte("waiting"))
					assert.NoError(t, err)
				}
				connected.Done()
				_ = c.SetReadDeadline(time.Now().Add(patience))
				echoed, err := io.ReadAll(c)
				assert.NoError(t, err)
				assert.Equal(t, "waiting", string(echoed))
				_ = c.Close()
			})
		}
		connected.Wait()
		require.NoError(t, l.Shutdown(within(t, patience)))
		served.Wait()
	}
}
