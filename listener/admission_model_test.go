package listener

import (
	"net"
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// admissionModel is the plainest form of an admission.
type admissionModel struct {
	options Options
	open    []modelEntry
	tokens  float64
	at      time.Time
}

type modelEntry struct {
	ip     netip.Addr
	bits   int // by which it was counted; 0: it was not
	permit *connection.Permit
}

func (m *admissionModel) network(ip netip.Addr) (bits, open int) {
	if m.options.MaxConnectionsPerIP <= 0 || !ip.IsValid() {
		return 0, 0
	}
	bits = m.options.PerIPPrefixV6
	if ip.Is4() {
		bits = m.options.PerIPPrefixV4
	}
	for _, e := range m.open {
		if e.bits == bits && netip.PrefixFrom(e.ip, bits).Contains(ip) {
			open++
		}
	}
	return bits, open
}

func (m *admissionModel) refill() {
	now := time.Now()
	m.tokens = min(float64(m.options.AcceptBurst), m.tokens+now.Sub(m.at).Seconds()*m.options.AcceptRate)
	m.at = now
}

func (m *admissionModel) paced() bool { return m.options.AcceptRate > 0 }

func (m *admissionModel) room() bool {
	m.refill()
	return m.options.WhenFull == Reject || len(m.open) < m.options.MaxConnections && (!m.paced() || m.tokens >= 1)
}

// admit returns the answer that an admission must give.
func (m *admissionModel) admit(ip netip.Addr) (seated bool, refusal protocol.Refusal) {
	m.refill()
	in := func(list []netip.Prefix) bool {
		for _, p := range list {
			if p.Contains(ip) {
				return true
			}
		}
		return false
	}
	orHeld := func(refusal protocol.Refusal) (bool, protocol.Refusal) {
		if m.options.WhenFull == Wait {
			return false, protocol.RefusalNone
		}
		return false, refusal
	}
	bits, inNetwork := m.network(ip)
	switch {
	case in(m.options.Deny), len(m.options.Allow) > 0 && !in(m.options.Allow):
		return false, protocol.RefusalDenied
	case bits > 0 && inNetwork >= m.options.MaxConnectionsPerIP:
		return false, protocol.RefusalPerIP
	case len(m.open) >= m.options.MaxConnections:
		return orHeld(protocol.RefusalFull)
	case m.paced() && m.tokens < 1:
		return orHeld(protocol.RefusalRate)
	}
	if m.paced() {
		m.tokens--
	}
	m.open = append(m.open, modelEntry{ip: ip, bits: bits})
	return true, protocol.RefusalNone
}

// set puts options in force. Saved-up permits stay, as far as there is room for them.
func (m *admissionModel) set(o Options) {
	m.refill()
	if before := m.paced(); o.AcceptRate > 0 && !before {
		m.tokens = float64(o.AcceptBurst)
	}
	m.options = o
	m.refill()
}

var (
	addresses = []netip.Addr{
		{}, alice, bob, netip.MustParseAddr("198.51.100.7"),
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:1::1"),
	}
	networks = []netip.Prefix{
		netip.MustParsePrefix("192.0.2.77/24"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("0.0.0.0/0"),
		netip.MustParsePrefix("2001:db8::/48"), netip.MustParsePrefix("::/0"),
	}
)

// drawOptions draws only numbers that floating point holds exactly.
func drawOptions(t *rapid.T) Options {
	lists := rapid.SliceOfN(rapid.SampledFrom(networks), 0, 1)
	o := Options{
		MaxConnections:      rapid.IntRange(1, 6).Draw(t, "most"),
		WhenFull:            rapid.SampledFrom([]WhenFull{Wait, Reject}).Draw(t, "when full"),
		MaxConnectionsPerIP: rapid.IntRange(-1, 3).Draw(t, "most per IP"),
		PerIPPrefixV4:       rapid.SampledFrom([]int{0, 24, 32}).Draw(t, "prefix 4"),
		PerIPPrefixV6:       rapid.SampledFrom([]int{0, 48, 128}).Draw(t, "prefix 6"),
		AcceptRate:          rapid.SampledFrom([]float64{-1, 0, 0, 0.125, 1, 2, 8}).Draw(t, "rate"),
		Allow:               rapid.OneOf(rapid.Just[[]netip.Prefix](nil), lists).Draw(t, "allow"),
		Deny:                rapid.OneOf(rapid.Just[[]netip.Prefix](nil), lists).Draw(t, "deny"),
	}
	if o.AcceptRate > 0 {
		o.AcceptBurst = rapid.IntRange(0, 3).Draw(t, "burst")
	}
	return o.withDefaults()
}

// Admission answers as the model does, through any changes of the options. After an answer that
// there is no room, it tells the caller as soon as there is room.
func TestAnAdmissionIsItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { // not a *testing.T, which has no Deadline in a bubble
			first := drawOptions(t)
			var notified atomic.Int32
			a := newAdmission(&first, &net.TCPAddr{}, func() { notified.Add(1) }, nil)
			defer a.close()
			m := &admissionModel{at: time.Now()}
			m.set(first)
			hungry := false
			ask := func(*rapid.T) {
				before := notified.Load()
				free, wake := a.room()
				require.Equal(t, m.room(), free)
				require.Equal(t, before, notified.Load())
				if !free {
					hungry = true
					select {
					case <-wake:
						require.Fail(t, "woken without a reason")
					default:
					}
				}
			}
			t.Repeat(map[string]func(*rapid.T){
				"ask": ask,
				"admit": func(t *rapid.T) {
					ip := rapid.SampledFrom(addresses).Draw(t, "ip")
					seated, refusal := m.admit(ip)
					permit, refused := a.admit(ip)
					require.Equal(t, refusal, refused)
					require.Equal(t, seated, permit != nil)
					if seated {
						m.open[len(m.open)-1].permit = permit
					} else if refused == protocol.RefusalNone {
						hungry = true
					}
				},
				"leave": func(t *rapid.T) {
					if len(m.open) == 0 {
						t.Skip("nobody is there")
					}
					i := rapid.IntRange(0, len(m.open)-1).Draw(t, "who")
					m.open[i].permit.Leave()
					m.open = append(m.open[:i], m.open[i+1:]...)
				},
				"set": func(t *rapid.T) {
					o := drawOptions(t)
					a.set(&o)
					m.set(o)
				},
				"wait": func(t *rapid.T) {
					time.Sleep(time.Duration(rapid.IntRange(1, 8).Draw(t, "eighths")) * time.Second / 8)
					synctest.Wait()
				},
				"": func(t *rapid.T) {
					require.Equal(t, len(m.open), a.limiter.used)
					counted := 0
					for _, e := range m.open {
						if e.bits > 0 {
							counted++
						}
					}
					for _, e := range a.perIP.entries {
						require.Positive(t, e.open, "an entry without connections")
						counted -= e.open
					}
					require.Zero(t, counted)
					if hungry && m.room() {
						require.Positive(t, notified.Load(), "there is room and nobody was told")
						hungry = false
					}
					if !hungry {
						notified.Store(0)
					}
				},
			})
		})
	})
}
