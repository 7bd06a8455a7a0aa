package admission

import (
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

// model is the plainest form of an Admission.
type model struct {
	rules  Rules
	open   []modelEntry
	tokens float64
	at     time.Time
}

type modelEntry struct {
	ip     netip.Addr
	bits   int // by which it was counted; 0: it was not
	permit *connection.Permit
}

func (m *model) network(ip netip.Addr) (bits, open int) {
	if m.rules.PerIP <= 0 || !ip.IsValid() {
		return 0, 0
	}
	bits = m.rules.PrefixV6
	if ip.Is4() {
		bits = m.rules.PrefixV4
	}
	for _, e := range m.open {
		if e.bits == bits && netip.PrefixFrom(e.ip, bits).Contains(ip) {
			open++
		}
	}
	return bits, open
}

func (m *model) refill() {
	now := time.Now()
	m.tokens = min(float64(m.rules.Burst), m.tokens+now.Sub(m.at).Seconds()*m.rules.Rate)
	m.at = now
}

func (m *model) paced() bool { return m.rules.Rate > 0 }

func (m *model) room() bool {
	m.refill()
	return !m.rules.Waits || len(m.open) < m.rules.Most && (!m.paced() || m.tokens >= 1)
}

// admit returns the answer that an admission must give.
func (m *model) admit(ip netip.Addr) (seated bool, refusal protocol.Refusal) {
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
		if m.rules.Waits {
			return false, protocol.RefusalNone
		}
		return false, refusal
	}
	bits, inNetwork := m.network(ip)
	switch {
	case in(m.rules.Deny), len(m.rules.Allow) > 0 && !in(m.rules.Allow):
		return false, protocol.RefusalDenied
	case bits > 0 && inNetwork >= m.rules.PerIP:
		return false, protocol.RefusalPerIP
	case len(m.open) >= m.rules.Most:
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

// set puts rules in force. Saved-up permits stay, as far as there is room for them.
func (m *model) set(r Rules) {
	m.refill()
	if before := m.paced(); r.Rate > 0 && !before {
		m.tokens = float64(r.Burst)
	}
	m.rules = r
	m.refill()
}

var (
	addresses = []netip.Addr{
		{}, first, second, netip.MustParseAddr("198.51.100.7"),
		netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2"), netip.MustParseAddr("2001:db8:1::1"),
	}
	networks = []netip.Prefix{
		netip.MustParsePrefix("192.0.2.77/24"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("0.0.0.0/0"),
		netip.MustParsePrefix("2001:db8::/48"), netip.MustParsePrefix("::/0"),
	}
)

// draw draws only numbers that floating point holds exactly.
func draw(t *rapid.T) Rules {
	lists := rapid.SliceOfN(rapid.SampledFrom(networks), 0, 1)
	r := Rules{
		Most:     rapid.IntRange(1, 6).Draw(t, "most"),
		Waits:    rapid.Bool().Draw(t, "waits"),
		PerIP:    rapid.IntRange(-1, 3).Draw(t, "most per IP"),
		PrefixV4: rapid.SampledFrom([]int{24, 32}).Draw(t, "prefix 4"),
		PrefixV6: rapid.SampledFrom([]int{48, 64, 128}).Draw(t, "prefix 6"),
		Rate:     rapid.SampledFrom([]float64{-1, 0, 0, 0.125, 1, 2, 8}).Draw(t, "rate"),
		Allow:    rapid.OneOf(rapid.Just[[]netip.Prefix](nil), lists).Draw(t, "allow"),
		Deny:     rapid.OneOf(rapid.Just[[]netip.Prefix](nil), lists).Draw(t, "deny"),
	}
	if r.Rate > 0 {
		r.Burst = rapid.IntRange(1, 8).Draw(t, "burst")
	}
	return r
}

// Admission answers as the model does, through any changes of the rules. After an answer that
// there is no room, it tells the caller as soon as there is room.
func TestAnAdmissionIsItsModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(t *rapid.T) { // not a *testing.T, which has no Deadline in a bubble
			rules := draw(t)
			var notified atomic.Int32
			a := New(rules, func() { notified.Add(1) }, nil)
			defer a.Close()
			m := &model{at: time.Now()}
			m.set(rules)
			hungry := false
			ask := func(*rapid.T) {
				before := notified.Load()
				free, wake := a.Room()
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
					permit, refused := a.Admit(ip)
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
						t.Skip("there is none")
					}
					i := rapid.IntRange(0, len(m.open)-1).Draw(t, "which")
					m.open[i].permit.Leave()
					m.open = append(m.open[:i], m.open[i+1:]...)
				},
				"set": func(t *rapid.T) {
					r := draw(t)
					a.Set(r)
					m.set(r)
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
						require.Positive(t, notified.Load(), "there is room, and notify was not called")
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
