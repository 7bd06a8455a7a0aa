package listener

import (
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// unsentLimit returns how many bytes the server's end of a connection holds that TCP could not send
// yet.
func unsentLimit(t *testing.T, c net.Conn) int {
	return option(t, serverEnd(t, c), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
}

func recvBuffer(t *testing.T, c net.Conn) int {
	return option(t, serverEnd(t, c), unix.SOL_SOCKET, unix.SO_RCVBUF) / 2 // the kernel doubles it
}

func TestWithABudgetAConnectionsKernelBuffersAreItsShare(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.MemoryBudget = 16 << 20
		l := newWorld().listen(t, of(newEcho()), o)
		first := dial(t, l)
		echoes(t, first)
		assert.Equal(t, 256<<10, unsentLimit(t, first), "a quarter of the budget, for 16 of them")
		assert.Equal(t, 256<<10, recvBuffer(t, first))
		for range 63 {
			echoes(t, dial(t, l))
		}
		c := dial(t, l)
		echoes(t, c)
		assert.InDelta(t, 64<<10, unsentLimit(t, c), 1<<10, "and for 64")
		assert.Equal(t, 256<<10, unsentLimit(t, first))

		o.MemoryBudget = 1 << 20
		c = dial(t, newWorld().listen(t, of(newEcho()), o))
		echoes(t, c)
		assert.Equal(t, leastKernel, unsentLimit(t, c))
		assert.Equal(t, leastKernel, recvBuffer(t, c))
	})
}

func TestKernelBuffersAreTheKernelsAffairWhereThereIsNoNeed(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		usual := dial(t, newWorld().listen(t, of(newEcho()), o))
		echoes(t, usual)
		none, buffer := unsentLimit(t, usual), recvBuffer(t, usual)
		for _, change := range []func(o *Options){
			func(o *Options) { o.MemoryBudget = 1 << 30 },
			func(o *Options) { o.MemoryBudget, o.SendBufferSize, o.RecvBufferSize = 16<<20, -1, -1 },
		} {
			given := o
			change(&given)
			c := dial(t, newWorld().listen(t, of(newEcho()), given))
			echoes(t, c)
			assert.Equal(t, none, unsentLimit(t, c))
			assert.Equal(t, buffer, recvBuffer(t, c))
		}
		o.MemoryBudget, o.RecvBufferSize = 16<<20, 50_000
		c := dial(t, newWorld().listen(t, of(newEcho()), o))
		echoes(t, c)
		assert.Equal(t, 50_000, recvBuffer(t, c), "what is given counts")
		assert.Equal(t, 256<<10, unsentLimit(t, c))
	})
}

func TestWithABudgetADialledConnectionsKernelBuffersAreItsShare(t *testing.T) {
	dialsWith(t, Options{MemoryBudget: 16 << 20}, func(t *testing.T, dial dialFunc) {
		server, client := certified(t)
		for _, secured := range []bool{false, true} {
			there, err := net.Listen("tcp", anyPort)
			require.NoError(t, err)
			t.Cleanup(func() { _ = there.Close() })
			accepted := make(chan net.Conn, 1)
			var o DialOptions
			if secured {
				o.TLSConfig = client
			}
			go func() {
				c, err := there.Accept()
				if err == nil && secured {
					_ = tls.Server(c, server).Handshake()
				}
				accepted <- c
			}()
			_, err = dial(t.Context(), there.Addr().String(), newAsker(), o)
			require.NoError(t, err)
			c := receive(t, accepted)
			t.Cleanup(func() { _ = c.Close() })
			assert.Equal(t, 256<<10, unsentLimit(t, c))
			assert.Equal(t, 256<<10, recvBuffer(t, c))
		}
	})
}

func TestWithABudgetAUnixSocketsSendBufferIsItsShare(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.Network, o.MemoryBudget = "unix", 1<<20
		l, err := Listen(newWorld().Root, someAddress(t, o), of(newEcho()), o)
		require.NoError(t, err)
		defer l.Close()
		from := &net.UnixAddr{Net: "unix", Name: someAddress(t, o)}
		c, err := net.DialUnix("unix", from, l.Addr().(*net.UnixAddr))
		require.NoError(t, err)
		defer c.Close()
		echoes(t, c)
		assert.Equal(t, 2*leastKernel, option(t, serverEnd(t, c), unix.SOL_SOCKET, unix.SO_SNDBUF))
	})
}

// A client sends for ever and never reads. The kernel holds little of it at the server's side.
func TestWithABudgetTheKernelHoldsLittleOfClientsThatNeverRead(t *testing.T) {
	const clients, most = 20, 120 << 10 // measured: 22 KB each, and 230 to 430 KB without the limits
	overEach(t, func(t *testing.T, o Options) {
		o.MemoryBudget = 1 << 20
		l := newWorld().listen(t, of(newEcho()), o)
		var deaf []net.Conn
		for range clients {
			c := dial(t, l)
			deaf = append(deaf, c)
			for range 2000 {
				_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
				if _, err := c.Write(make([]byte, 16<<10)); err != nil {
					break
				}
			}
		}
		held := 0
		for _, c := range deaf {
			held += kernelHolds(t, serverEnd(t, c))
		}
		assert.Less(t, held/clients, most)
		t.Logf("the kernel holds %d KB for each", held/clients>>10)
	})
}

// kernelHolds returns the memory of a socket's two queues: sk_rmem_alloc and sk_wmem_queued of
// SO_MEMINFO.
func kernelHolds(t *testing.T, fd int) int {
	t.Helper()
	text, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_MEMINFO)
	require.NoError(t, err)
	const received, queued = 0, 5
	word := func(i int) int {
		v := 0
		for at := 3; at >= 0; at-- {
			b := byte(0)
			if 4*i+at < len(text) {
				b = text[4*i+at]
			}
			v = v<<8 | int(b)
		}
		return v
	}
	return word(received) + word(queued)
}
