package listener

import (
	"net"
	"net/netip"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// dialFrom connects from an address of the test's choice: on Linux all of 127.0.0.0/8 is this
// machine.
func dialFrom(t *testing.T, l *Listener, ip string) net.Conn {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("one loopback address only")
	}
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	c, err := d.DialContext(t.Context(), l.Addr().Network(), l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestOneAddressHasSoManyConnectionsAndNotOneMore(t *testing.T) {
	for _, whenFull := range []WhenFull{Wait, Reject} {
		overEach(t, func(t *testing.T, o Options) {
			w := newWorld()
			o.MaxConnectionsPerIP, o.WhenFull = 2, whenFull
			l := w.listen(t, of(newEcho()), o)
			first, second := dialFrom(t, l, "127.0.0.1"), dialFrom(t, l, "127.0.0.1")
			echoes(t, first)
			echoes(t, second)
			_ = ends(dialFrom(t, l, "127.0.0.1"))
			assert.Equal(t, protocol.RefusalPerIP, published[*Rejected](w)[0].Reason)
			echoes(t, dialFrom(t, l, "127.0.0.2"))
			require.NoError(t, first.Close())
			eventually(t, func() bool { return l.Info().Open == 2 })
			echoes(t, dialFrom(t, l, "127.0.0.1"))
			assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalPerIP: 1}, l.Info().Refused)
			assert.Equal(t, 3, l.Info().Open)
		})
	}
}

func TestANetworkOfAPrefixCountsAsOneAddress(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnectionsPerIP, o.PerIPPrefixV4 = 1, 24
		l := w.listen(t, of(newEcho()), o)
		echoes(t, dialFrom(t, l, "127.0.1.1"))
		_ = ends(dialFrom(t, l, "127.0.1.200"))
		echoes(t, dialFrom(t, l, "127.0.2.1"))
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalPerIP: 1}, l.Info().Refused)
	})
}

func TestOverADualStackSocketAnIPv4ClientIsOne(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnectionsPerIP, o.Deny = 1, []netip.Prefix{netip.MustParsePrefix("127.0.0.9/32")}
		l, err := Listen(w.Root, "[::]:0", of(newEcho()), o)
		if err != nil {
			t.Skip("no IPv6 here: ", err)
		}
		defer l.Close()
		port := l.Addr().(*net.TCPAddr).Port
		from := func(ip string) net.Conn {
			d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
			c, err := d.DialContext(t.Context(), "tcp4", (&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}).String())
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		echoes(t, from("127.0.0.1"))
		_ = ends(from("127.0.0.1"))
		if runtime.GOOS == "linux" {
			echoes(t, from("127.0.0.2"))
			_ = ends(from("127.0.0.9"))
			assert.EqualValues(t, 1, l.Info().Refused[protocol.RefusalDenied])
		}
		assert.EqualValues(t, 1, l.Info().Refused[protocol.RefusalPerIP])
	})
}

func TestClientsOfAUnixSocketAreNotCountedByAddress(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Network, o.MaxConnectionsPerIP = "unix", 1
		l, err := Listen(w.Root, t.TempDir()+"/s", of(newEcho()), o)
		require.NoError(t, err)
		defer l.Close()
		for range 3 {
			echoes(t, dial(t, l))
		}
		assert.Zero(t, l.server.admission.State().Networks)
	})
}

func TestDenyWinsOverAllow(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Allow = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/24")}
		o.Deny = []netip.Prefix{netip.MustParsePrefix("127.0.0.8/29")}
		l := w.listen(t, of(newEcho()), o)
		for _, one := range []struct {
			ip      string
			allowed bool
		}{{"127.0.0.1", true}, {"127.0.0.9", false}, {"127.0.0.16", true}, {"127.0.1.1", false}} {
			c := dialFrom(t, l, one.ip)
			if one.allowed {
				echoes(t, c)
			} else {
				_ = ends(c)
			}
		}
		assert.Equal(t, map[protocol.Refusal]uint64{protocol.RefusalDenied: 2}, l.Info().Refused)
		assert.Equal(t, 2, l.Info().Open)
	})
}

// Clients of four addresses come and go. No address ever has more than two open connections, and
// all entries go with their clients.
func TestInAStormThePeakOfEachAddressIsItsCap(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const each, most = 60, 2
		w := newWorld()
		o.MaxConnectionsPerIP, o.MaxConnections = most, 5
		var perAddress [4]counting
		handler := &byAddress{counts: map[string]*counting{}}
		var storm sync.WaitGroup
		ips := []string{"127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.4"}
		for i, ip := range ips {
			handler.counts[ip] = &perAddress[i]
		}
		l := w.listen(t, of(handler), o)
		for i := range 12 {
			storm.Go(func() {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ips[i%len(ips)])}}
				for range each / 3 {
					c, err := d.Dial("tcp", l.Addr().String())
					if err != nil {
						continue // refused while it was being connected
					}
					_, _ = c.Write([]byte("x"))
					_, _ = c.Read(make([]byte, 1))
					_ = c.Close()
				}
			})
		}
		storm.Wait()
		for i := range perAddress {
			assert.LessOrEqual(t, perAddress[i].peak.Load(), int64(most), ips[i])
			assert.Positive(t, perAddress[i].peak.Load())
		}
		eventually(t, func() bool { return l.Info().Open == 0 })
		assert.Zero(t, l.server.admission.State())
	})
}

// byAddress counts the connections of each address apart.
type byAddress struct {
	echo
	counts map[string]*counting
}

func (b *byAddress) of(s protocol.Socket) *counting {
	return b.counts[s.RemoteAddr().(*net.TCPAddr).IP.String()]
}

func (b *byAddress) Accepted(s protocol.Socket) error { return b.of(s).Accepted(s) }

func (b *byAddress) Closed(s protocol.Socket, c *protocol.Closed) { b.of(s).Closed(s, c) }
