//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A shutdown accepts waiting clients, beside the acceptor's own turn. It must get the kernel's
// answer, not an answer from the acceptor's call that is under way.
func TestAfterAnAcceptThatFindsNoClientNoneWaits(t *testing.T) {
	const rounds, clients = 100, 32
	set, err := NewPollSet()
	require.NoError(t, err)
	defer set.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	a, err := NewAcceptor(set, l, func() {})
	require.NoError(t, err)
	defer a.Close()
	for range rounds {
		for range clients {
			c, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
		}
		a.Look()
		var accepted atomic.Int32
		var accepting sync.WaitGroup
		for range 2 {
			accepting.Go(func() {
				for {
					p, err := a.Accept(set)
					if err != nil {
						assert.Equal(t, ErrAgain, err)
						assert.GreaterOrEqual(t, accepted.Load(), int32(clients-4), "few may be in the other's hands, or on their way through the kernel")
						return
					}
					accepted.Add(1)
					p.Abort()
				}
			})
		}
		accepting.Wait()
	}
}
