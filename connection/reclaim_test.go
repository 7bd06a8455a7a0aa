package connection

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// scene is a budget of 100 KiB, high water 80, low water 60, and connections that each hold a given
// number of KiB.
type scene struct {
	*Budget
	all    []*Connection
	events []bool
	now    time.Duration
}

func newScene(held ...int) *scene {
	s := &scene{}
	s.Budget = NewBudget(BudgetLimits{Total: 100 << 10, HighWater: 80 << 10, LowWater: 60 << 10, Timeout: 30 * second},
		func(pressed bool, _ int64) { s.events = append(s.events, pressed) })
	for _, kib := range held {
		c := budgeted(s.Budget, Options{}, &taker{})
		s.add(c.share(), kib<<10)
		s.all = append(s.all, c)
	}
	return s
}

// waits makes a connection wait for a number of KiB, as affords does.
func (s *scene) waits(who, kib int) {
	claim := s.all[who].share()
	claim.need.Store(int64(kib << 10))
	claim.waiting.Store(true)
	s.waiting.Add(1)
}

func (s *scene) inLine() (who []int) {
	for i, c := range s.all {
		if c.share().waiting.Load() {
			who = append(who, i)
		}
	}
	return who
}

func (s *scene) holds(who, kib int) {
	s.add(s.all[who].share(), kib<<10-int(s.all[who].share().held.Load()))
}

func (s *scene) sweep(after time.Duration) {
	s.now += after
	live := append([]*Connection(nil), s.all...)
	s.reclaim(live, s.now)
}

func (s *scene) ended() (who []int) {
	for i, c := range s.all {
		if c.endedBy(protocol.ReasonMemoryBudget) {
			who = append(who, i)
		}
	}
	return who
}

func TestReclaimBeginsAtTheHighWaterAndEndsAtTheLowOne(t *testing.T) {
	s := newScene(40, 39)
	s.sweep(second)
	assert.Empty(t, s.events)
	s.holds(1, 40)
	s.sweep(second)
	assert.Equal(t, []bool{true}, s.events)
	s.holds(1, 21)
	s.sweep(second)
	assert.Equal(t, []bool{true}, s.events, "between the marks everything stays as it is")
	s.holds(1, 20)
	s.sweep(second)
	assert.Equal(t, []bool{true, false}, s.events)
	assert.EqualValues(t, smallShare, s.share.Load(), "what the others hold is no measure any more")
	s.holds(1, 30)
	s.sweep(second)
	assert.Len(t, s.events, 2)
}

func TestTheHighWaterAndTheFirstWaitKickTheSweep(t *testing.T) {
	s := newScene(40, 39, 0, 0)
	kicked := func() bool {
		select {
		case <-s.Kicked():
			return true
		default:
			return false
		}
	}
	assert.False(t, kicked())
	require.True(t, s.take(s.all[1].share(), 1<<10, writing))
	assert.True(t, kicked(), "the high water")
	s.sweep(second)
	require.True(t, s.take(s.all[1].share(), 0, writing))
	require.True(t, s.take(s.all[2].share(), 10<<10, writing))
	assert.False(t, kicked(), "the sweep knows")
	s.all[2].socket = &feeder{has: 1}
	assert.Nil(t, s.all[2].fetch())
	assert.True(t, kicked(), "the first who waits")
	s.all[3].socket = &feeder{has: 1}
	assert.Nil(t, s.all[3].fetch())
	assert.False(t, kicked(), "for the others it comes anyway")
	assert.Nil(t, (*Budget)(nil).Kicked(), "without a budget there is no kick")
}

func TestAShareIsTheLowWaterDividedByTheConnectionsThatHoldOrWant(t *testing.T) {
	s := newScene(40, 40, 0, 0, 0)
	s.sweep(second)
	assert.EqualValues(t, 30<<10, s.share.Load())
	s.waits(2, 1)
	s.sweep(0)
	assert.EqualValues(t, 20<<10, s.share.Load())
	s = newScene(make([]int, 100)...)
	for i := range 100 {
		s.holds(i, 1)
	}
	s.sweep(second)
	assert.EqualValues(t, smallShare, s.share.Load(), "and no less than an exchange of small messages takes")
}

func TestAtTheLowWaterEveryConnectionGoesOnWhoseReadFits(t *testing.T) {
	s := newScene(30, 20, 5, 5)
	s.waits(0, 10)
	s.waits(1, 8)
	s.waits(2, 4)
	s.waits(3, 0)
	s.sweep(second)
	assert.Equal(t, []int{0}, s.inLine(), "those who hold least first, up to the high water")
	s.holds(1, 10)
	s.sweep(second)
	assert.Empty(t, s.inLine())
	assert.Equal(t, []bool{true, false}, s.events)
}

func TestAboveTheLowWaterOnlyConnectionsBelowTheirShareGoOn(t *testing.T) {
	s := newScene(40, 20, 4, 0)
	s.waits(0, 1)
	s.waits(1, 1)
	s.waits(2, 1)
	s.waits(3, 1)
	s.sweep(second)
	assert.EqualValues(t, 15<<10, s.share.Load())
	assert.Equal(t, []int{0, 1}, s.inLine())
	s.holds(0, 36)
	s.sweep(second)
	assert.Empty(t, s.inLine())
}

func TestOfConnectionsThatHoldAsMuchTheLongestWaitGoesFirst(t *testing.T) {
	s := newScene(75, 0, 0, 0)
	s.waits(2, 20) // fits for no connection yet
	s.sweep(second)
	s.waits(1, 20)
	s.sweep(second)
	s.waits(3, 20)
	s.sweep(second)
	s.holds(0, 69)
	s.sweep(second)
	assert.Equal(t, []int{1, 3}, s.inLine())
}

func TestConnectionsInTheWayAreEndedTheLargestFirstAndOneAtATime(t *testing.T) {
	s := newScene(40, 35, 15, 0)
	s.waits(3, 1)
	s.sweep(0)
	s.sweep(30*second - 1)
	assert.Empty(t, s.ended())
	s.sweep(1)
	assert.Equal(t, []int{0}, s.ended())
	s.sweep(ReclaimInterval)
	assert.Equal(t, []int{0}, s.ended(), "its memory has not come back yet")
	s.holds(0, 0)
	s.sweep(ReclaimInterval)
	assert.Empty(t, s.inLine(), "there is room now")
	assert.Equal(t, []int{0}, s.ended(), "so no other has to go")
}

func TestWhereTheMemoryDoesNotComeBackTheNextOneIsEnded(t *testing.T) {
	s := newScene(40, 40, 15, 0) // the first one's handler is busy
	s.waits(3, 1)
	s.sweep(0)
	s.sweep(30 * second)
	assert.Len(t, s.ended(), 1)
	s.sweep(reclaimGrace - 1)
	assert.Len(t, s.ended(), 1)
	s.sweep(1)
	assert.Equal(t, []int{0, 1}, s.ended())
	s.sweep(10 * reclaimGrace)
	assert.Equal(t, []int{0, 1}, s.ended(), "a connection that holds less than a share stays")
}

func TestAConnectionThatMovesOnIsNotInTheWay(t *testing.T) {
	s := newScene(33, 32, 31, 0)
	s.waits(3, 1)
	for range 60 {
		s.sweep(second)
		s.all[0].written.Add(33 << 10 / 29)
		s.all[1].read.Add(32 << 10 / 29)
		s.holds(2, int(s.all[2].share().held.Load()>>10)^2) // gives two back, and takes them again
		if len(s.ended()) > 0 {
			break
		}
	}
	assert.Empty(t, s.ended())
}

func TestAConnectionThatOnlyTricklesIsInTheWay(t *testing.T) {
	s := newScene(40, 39, 15, 0)
	s.waits(3, 1)
	s.sweep(0)
	for range 30 {
		s.all[0].written.Add(40 << 10 / 40)
		s.all[1].written.Add(1)
		s.sweep(second)
	}
	assert.Equal(t, []int{0}, s.ended())
	s.holds(0, 0)
}

func TestWhileNoConnectionIsKeptWaitingNoneIsInTheWay(t *testing.T) {
	s := newScene(90, 5)
	s.sweep(0)
	s.sweep(1000 * second)
	assert.Empty(t, s.ended())
	assert.Equal(t, protocol.ErrMemoryBudget, s.all[0].WriteOwned([]byte("x"), nil))
	s.sweep(second)
	assert.Equal(t, []int{0}, s.ended(), "who is refused is kept waiting, too")
}

func TestARefusalCountsOnce(t *testing.T) {
	s := newScene(90, 5)
	assert.Equal(t, protocol.ErrMemoryBudget, s.all[0].WriteOwned([]byte("x"), nil))
	s.sweep(0)
	s.sweep(1000 * second)
	assert.Empty(t, s.ended(), "who was refused long ago has gone on with something else")
}

func TestReclaimEndsTheNextAtOnce(t *testing.T) {
	s := newScene(31, 30, 29, 0)
	s.waits(3, 60)
	s.sweep(0)
	s.sweep(30 * second)
	s.holds(0, 0)
	s.sweep(ReclaimInterval)
	assert.Equal(t, []int{0, 1}, s.ended())
}

func TestWithoutATimeoutNoConnectionIsEnded(t *testing.T) {
	s := newScene(90, 0)
	s.limits.Timeout = -1
	s.waits(1, 5)
	s.sweep(0)
	s.sweep(1000 * second)
	assert.Empty(t, s.ended())
}

func TestATimeoutCountsFromTheHighWater(t *testing.T) {
	s := newScene(50, 0)
	s.sweep(1000 * second)
	s.holds(0, 90)
	s.waits(1, 5)
	s.sweep(second)
	s.sweep(30*second - 1)
	assert.Empty(t, s.ended())
	s.sweep(1)
	assert.Equal(t, []int{0}, s.ended())
}
