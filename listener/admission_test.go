package listener

import (
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

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

var (
	nobody = netip.Addr{}
	alice  = netip.MustParseAddr("192.0.2.1")
	bob    = netip.MustParseAddr("192.0.2.2")
)

func admissionWith(o Options) *admission {
	o = o.withDefaults()
	return newAdmission(&o, &net.TCPAddr{}, func() {}, nil)
}

// enter does what an acceptor does, until it has a permit or is refused.
func enter(a *admission, ip netip.Addr) (*connection.Permit, protocol.Refusal) {
	for {
		if !a.await(nil) {
			return nil, protocol.RefusalNone
		}
		if permit, refusal := a.admit(ip); permit != nil || refusal != protocol.RefusalNone {
			return permit, refusal
		}
	}
}

// G10: the peak is exactly the cap if there is demand for it. A lost wake-up would hang the test.
func TestThePeakOfPermitsIsTheCapExactly(t *testing.T) {
	const takers, each, most = 16, 3000, 5
	a := admissionWith(Options{MaxConnections: most})
	var open, peak atomic.Int64
	var storm sync.WaitGroup
	full := make(chan struct{}) // closed once all permits were out together
	var once sync.Once
	for range takers {
		storm.Go(func() {
			for range each {
				permit, refusal := enter(a, nobody)
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
	assert.Zero(t, a.limiter.used)
}

func TestAWaitForAPermitGetsTheNextOneThatComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := admissionWith(Options{MaxConnections: 1})
		permit, _ := a.admit(nobody)
		var got atomic.Int32
		permits := make(chan *connection.Permit, 3)
		for range 3 {
			go func() {
				next, _ := enter(a, nobody)
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
		a := admissionWith(Options{MaxConnections: 1})
		_, refusal := a.admit(nobody)
		require.Zero(t, refusal)
		stop := make(chan struct{})
		var freed atomic.Int32
		wait := func(stop chan struct{}) {
			if !a.await(stop) {
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
		a.close()
		synctest.Wait()
		assert.EqualValues(t, 3, freed.Load())
		wait(nil)
		assert.EqualValues(t, 4, freed.Load(), "also who comes later")
	})
}

// The cap of each network is as exact as that of all: several clients from each are let in, never
// one too many.
func TestThePeakOfEachNetworkIsItsCapExactly(t *testing.T) {
	const takers, each, most = 12, 500, 2
	ips := []netip.Addr{alice, bob, netip.MustParseAddr("2001:db8::1")}
	a := admissionWith(Options{MaxConnectionsPerIP: most, WhenFull: Reject})
	var open, peak, served [3]atomic.Int64
	var storm sync.WaitGroup
	for i := range takers {
		storm.Go(func() {
			for j := range each {
				n := (i + j) % len(ips)
				permit, refusal := a.admit(ips[n])
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
	assert.Empty(t, a.perIP.entries, "an entry lives as long as its connections")
	assert.Zero(t, a.limiter.used)
}

func TestAHigherRateEndsAWaitForTheLowerOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := admissionWith(Options{AcceptRate: 0.01})
		defer a.close()
		_, _ = a.admit(nobody)
		freed := make(chan struct{})
		go func() {
			_, _ = enter(a, nobody)
			close(freed)
		}()
		synctest.Wait()
		fast := Options{AcceptRate: 10}.withDefaults()
		a.set(&fast)
		began := time.Now()
		<-freed
		assert.Less(t, time.Since(began), time.Second)
	})
}

func TestAVerySlowRateWaitsAndDoesNotOverflow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := admissionWith(Options{AcceptRate: 1e-300})
		defer a.close()
		_, _ = a.admit(nobody)
		time.Sleep(1000 * time.Hour)
		free, _ := a.room()
		assert.False(t, free)
	})
}

func TestAnIPv4MappedAddressIsAnIPv4Address(t *testing.T) {
	mapped := netip.MustParseAddr("::ffff:192.0.2.1")
	conn := from{addr: &net.TCPAddr{IP: mapped.AsSlice(), Port: 1}}
	assert.Equal(t, alice, ipOf(conn))
	assert.Equal(t, alice, ipOf(from{addr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(mapped, 1))}))
	assert.Equal(t, alice, ipOf(from{addr: text("[::ffff:192.0.2.1]:9")}), "an address of somebody else's type")

	list := newPrefixes([]netip.Prefix{netip.MustParsePrefix("::ffff:192.0.2.0/120")})
	assert.True(t, list.contain(alice))
	assert.False(t, list.contain(netip.MustParseAddr("192.0.3.1")))
}

func TestAClientWithoutAnIPAddressIsInNoList(t *testing.T) {
	for _, addr := range []net.Addr{nil, &net.UnixAddr{Name: "path"}, text("sim:1"), (*net.TCPAddr)(nil)} {
		assert.False(t, ipOf(from{addr: addr}).IsValid())
	}
	everybody := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	permit, _ := admissionWith(Options{Deny: everybody, MaxConnectionsPerIP: 1}).admit(nobody)
	assert.NotNil(t, permit)
	_, refusal := admissionWith(Options{Allow: everybody}).admit(nobody)
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
