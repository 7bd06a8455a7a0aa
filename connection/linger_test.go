package connection

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// house is a Spawner, connections of it, and the permits that they hold. Each connection has a
// permit of its own, so that the test sees which connection gives back which.
type house struct {
	*Spawner
	live    []*Connection
	permits map[*Permit]bool // held
}

func newHouse(most int) *house {
	h := &house{Spawner: newConnection(Options{}, &taker{}).shared.Spawner, permits: map[*Permit]bool{}}
	h.onLen, h.onEnd = func(int) {}, func(*Connection) {}
	h.SetLingerers(most)
	return h
}

func (h *house) comes(t assert.TestingT) *Connection {
	c := newConnection(Options{}, &taker{})
	c.shared = &settings{Spawner: h.Spawner, options: c.shared.options}
	permit := &Permit{}
	h.permits[permit] = true
	permit.Leave = func() {
		assert.True(t, h.permits[permit], "given back twice")
		delete(h.permits, permit)
	}
	c.permit = permit
	h.add(c)
	h.live = append(h.live, c)
	return c
}

func (h *house) goes(c *Connection) {
	for i, other := range h.live {
		if other == c {
			h.live = append(h.live[:i], h.live[i+1:]...)
		}
	}
	h.remove(c)
}

func TestAPlaceIsFreeFromTheFINOn(t *testing.T) {
	h := newHouse(2)
	c := h.comes(t)
	assert.Len(t, h.permits, 1)
	c.linger()
	assert.Empty(t, h.permits)
	c.Detach()
	c.linger()
	totals := h.Totals()
	assert.Equal(t, [3]int{1, 1, 0}, [3]int{totals.Open, totals.Lingering, totals.Detached})
	h.goes(c)
	totals = h.Totals()
	assert.Equal(t, [3]int{0, 0, 0}, [3]int{totals.Open, totals.Lingering, totals.Detached})
}

func TestTheLongestLingererEndsFirst(t *testing.T) {
	h := newHouse(2)
	first, second, third := h.comes(t), h.comes(t), h.comes(t)
	first.linger()
	second.linger()
	assert.Len(t, h.permits, 1)
	third.linger()
	assert.Len(t, h.permits, 1, "its socket is still there")
	assert.Equal(t, signalLate, first.signals.Load())
	assert.Zero(t, second.signals.Load())
	h.goes(first)
	assert.Empty(t, h.permits)
}

func TestWithoutRoomForLingerersAConnectionKeepsItsPlace(t *testing.T) {
	h := newHouse(-1)
	c := h.comes(t)
	c.linger()
	assert.Len(t, h.permits, 1)
	h.goes(c)
	assert.Empty(t, h.permits)
}

// Connections come, linger, are detached and end in any order. Each permit comes back once, no more
// connections linger than may, and there are never more sockets than permits and lingerers.
func TestPlacesAndLingerersAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(0, 4).Draw(t, "most")
		h := newHouse(most)
		detached := map[*Connection]bool{}
		pick := func(t *rapid.T) *Connection {
			if len(h.live) == 0 {
				t.Skip()
			}
			return h.live[rapid.IntRange(0, len(h.live)-1).Draw(t, "which")]
		}
		t.Repeat(map[string]func(*rapid.T){
			"comes":  func(t *rapid.T) { h.comes(t) },
			"goes":   func(t *rapid.T) { c := pick(t); delete(detached, c); h.goes(c) },
			"linger": func(t *rapid.T) { pick(t).linger() },
			"detach": func(t *rapid.T) {
				c := pick(t)
				held := c.permit != nil && c.permit != waitsForFIN
				c.Detach()
				if held {
					detached[c] = true
				}
			},
			"": func(t *rapid.T) {
				totals := h.Totals()
				assert.LessOrEqual(t, totals.Lingering, most)
				assert.Equal(t, len(detached), totals.Detached)
				assert.Equal(t, len(h.live), len(h.permits)+totals.Lingering+totals.Detached)
				assert.LessOrEqual(t, len(h.lingerers.line), 2*totals.Lingering+16)
			},
		})
		for len(h.live) > 0 {
			h.goes(h.live[0])
		}
		assert.Empty(t, h.permits)
		assert.Zero(t, h.Totals().Lingering)
	})
}
