package admission

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	noAddress = netip.Addr{}
	first     = netip.MustParseAddr("192.0.2.1")
	second    = netip.MustParseAddr("192.0.2.2")
)

// with completes rules with what a listener takes by default.
func with(r Rules) *Admission {
	if r.Most == 0 {
		r.Most = 10_000
	}
	r.PrefixV4, r.PrefixV6 = 32, 64
	r.Burst = max(r.Burst, 1)
	return New(r, func() {}, nil)
}

// enter does what an acceptor does, until it has a permit or is refused.
func enter(a *Admission, ip netip.Addr) (*connection.Permit, protocol.Refusal) {
	for {
		if !a.Await(nil) {
			return nil, protocol.RefusalNone
		}
		if permit, refusal := a.Admit(ip); permit != nil || refusal != protocol.RefusalNone {
			return permit, refusal
		}
	}
}

// G10: the peak is exactly the cap if there is demand for it. A lost wake-up would hang the test.
func TestThePeakOfPermitsIsTheCapExactly(t *testing.T) {
	const takers, each, most = 16, 3000, 5
	a := with(Rules{Most: most, Waits: true})
	var open, peak atomic.Int64
	var storm sync.WaitGroup
	full := make(chan struct{}) // closed once all permits were out together
	var once sync.Once
	for range takers {
		storm.Go(func() {
			for range each {
				permit, refusal := enter(a, noAddress)
				if !assert.NotNil(t, permit, "%v", refusal) {
					return
				}
				n := open.Add(1)
				for old := peak.Load(); n > old && !peak.CompareAndSwap(old, n); old = peak.Load() {
				}
				if n == most {
					once.Do(func() { close(full) })
				}
				<-full
				open.Add(-1)
				permit.Leave()
			}
		})
	}
	storm.Wait()
	assert.EqualValues(t, most, peak.Load())
	assert.Zero(t, a.State())
}

func TestAWaitForAPermitGetsTheNextOneThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := with(Rules{Most: 1, Waits: true})
		permit, _ := a.Admit(noAddress)
		var got atomic.Int32
		permits := make(chan *connection.Permit, 3)
		for range 3 {
			go func() {
				next, _ := enter(a, noAddress)
				got.Add(1)
				permits <- next
			}()
		}
		for want := range int32(3) {
			synctest.Wait()
			assert.Equal(t, want, got.Load())
			permit.Leave()
			permit = <-permits
		}
		synctest.Wait()
		assert.EqualValues(t, 3, got.Load())
	})
}

func TestStopAndCloseEndAWaitForAPermit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := with(Rules{Most: 1, Waits: true})
		_, refusal := a.Admit(noAddress)
		require.Zero(t, refusal)
		stop := make(chan struct{})
		var freed atomic.Int32
		wait := func(stop chan struct{}) {
			if !a.Await(stop) {
				freed.Add(1)
			}
		}
		go wait(stop)
		go wait(nil)
		go wait(nil)
		synctest.Wait()
		assert.Zero(t, freed.Load())
		close(stop)
		synctest.Wait()
		assert.EqualValues(t, 1, freed.Load())
		a.Close()
		synctest.Wait()
		assert.EqualValues(t, 3, freed.Load())
		wait(nil)
		assert.EqualValues(t, 4, freed.Load(), "a later one too")
	})
}

// The cap of each network is as exact as that of all: several clients from each are let in, never
// one too many.
func TestThePeakOfEachNetworkIsItsCapExactly(t *testing.T) {
	const takers, each, most = 12, 500, 2
	ips := []netip.Addr{first, second, netip.MustParseAddr("2001:db8::1")}
	a := with(Rules{PerIP: most})
	var open, peak, served [3]atomic.Int64
	var storm sync.WaitGroup
	for i := range takers {
		storm.Go(func() {
			for j := range each {
				n := (i + j) % len(ips)
				permit, refusal := a.Admit(ips[n])
				if permit == nil {
					assert.Equal(t, protocol.RefusalPerIP, refusal)
					continue
				}
				now := open[n].Add(1)
				for old := peak[n].Load(); now > old && !peak[n].CompareAndSwap(old, now); old = peak[n].Load() {
				}
				served[n].Add(1)
				runtime.Gosched()
				open[n].Add(-1)
				permit.Leave()
			}
		})
	}
	storm.Wait()
	for n := range ips {
		assert.LessOrEqual(t, peak[n].Load(), int64(most))
		assert.Positive(t, served[n].Load())
	}
	assert.Zero(t, a.State(), "an entry lives as long as its connections")
}

func TestAHigherRateEndsAWaitForTheLowerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := with(Rules{Waits: true, Rate: 0.01})
		defer a.Close()
		_, _ = a.Admit(noAddress)
		freed := make(chan struct{})
		go func() {
			_, _ = enter(a, noAddress)
			close(freed)
		}()
		synctest.Wait()
		a.Set(Rules{Most: 10, Waits: true, Rate: 10, Burst: 10})
		began := time.Now()
		<-freed
		assert.Less(t, time.Since(began), time.Second)
	})
}

func TestAVerySlowRateWaitsAndDoesNotOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := with(Rules{Waits: true, Rate: 1e-300})
		defer a.Close()
		_, _ = a.Admit(noAddress)
		time.Sleep(1000 * time.Hour)
		free, _ := a.Room()
		assert.False(t, free)
	})
}

func TestAnIPv4MappedAddressIsAnIPv4Address(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:192.0.2.1")
	conn := from{addr: &net.TCPAddr{IP: mapped.AsSlice(), Port: 1}}
	assert.Equal(t, first, IPOf(conn))
	assert.Equal(t, first, IPOf(from{addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(mapped, 1))}))
	assert.Equal(t, first, IPOf(from{addr: text("[::ffff:192.0.2.1]:9")}), "an address of another type")

	list := newPrefixes([]netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")})
	assert.True(t, list.contain(first))
	assert.False(t, list.contain(netip.MustParseAddr("192.0.3.1")))
}

func TestAClientWithoutAnIPAddressIsInNoList(t *testing.T) {
	for _, addr := range []net.Addr{nil, &net.UnixAddr{Name: "path"}, text("sim:1"), (*net.TCPAddr)(nil)} {
		assert.False(t, IPOf(from{addr: addr}).IsValid())
	}
	all := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	permit, _ := with(Rules{Deny: all, PerIP: 1}).Admit(noAddress)
	assert.NotNil(t, permit)
	_, refusal := with(Rules{Allow: all}).Admit(noAddress)
	assert.Equal(t, protocol.RefusalDenied, refusal)
}

// from is a client with an address of the test's choice.
type from struct {
	net.Conn
	addr net.Addr
}

func (f from) RemoteAddr() net.Addr { return f.addr }

// text is an address that consists of its text only.
type text string

func (text) Network() string  { return "text" }
func (a text) String() string { return string(a) }

// The end of a connection, or its Detach, and the header can come together.
func TestALeftPermitIsNotCountedByAddressAnyMore(t *testing.T) {
	a := with(Rules{PerIP: 1, Proxied: true, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	client := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5555}
	proxy := netip.MustParseAddr("127.0.0.1")
	early, _ := a.Admit(proxy)
	early.Leave()
	require.NoError(t, early.Admit(client))
	assert.Zero(t, a.State().Networks)
	late, _ := a.Admit(proxy)
	require.NoError(t, late.Admit(client))
	assert.Equal(t, State{Permits: 1, Networks: 1}, a.State())
	late.Leave()
	assert.Zero(t, a.State())
}

func TestOnlyTrustedProxiesAreAdmitted(t *testing.T) {
	a := with(Rules{Proxied: true, Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}, Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}})
	permit, refusal := a.Admit(first)
	assert.NotNil(t, permit, "the lists judge the client, not its proxy: %v", refusal)
	for _, ip := range []netip.Addr{second, noAddress} {
		_, refusal = a.Admit(ip)
		assert.Equal(t, protocol.RefusalUntrusted, refusal)
	}
	a.Set(Rules{Most: 10, Proxied: true, AnyPeer: true})
	for _, ip := range []netip.Addr{second, noAddress} {
		permit, _ = a.Admit(ip)
		assert.NotNil(t, permit)
	}
}

// A client that was admitted is refused once its header has told its address.
func TestARefusalBehindAProxyEndsWithTheGivenError(t *testing.T) {
	var told protocol.Refusal
	a := New(Rules{Most: 1, Proxied: true, AnyPeer: true, Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}}, func() {},
		func(_ net.Addr, why protocol.Refusal) error { told = why; return errRefused })
	permit, _ := a.Admit(noAddress)
	require.ErrorIs(t, permit.Admit(&net.TCPAddr{IP: first.AsSlice()}), errRefused)
	assert.Equal(t, protocol.RefusalDenied, told)
	assert.Equal(t, State{Permits: 1}, a.State(), "until the connection ends")
	permit.Leave()
	assert.Zero(t, a.State())
}

var errRefused = errors.New("refused")
