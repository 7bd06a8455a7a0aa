package connection

import (
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

func newBudget() *Budget {
	return NewBudget(BudgetLimits{Total: 100 << 10, HighWater: 80 << 10, LowWater: 60 << 10, Timeout: 30 * second}, func(bool, int64) {})
}

// budgeted returns a connection that is open and shares b.
func budgeted(b *Budget, options Options, socket *taker) *Connection {
	c := newConnection(options, socket)
	c.shared.budget = b
	c.makeRare().share = new(share)
	return c
}

func TestConcurrentTakersStayWithinTheBudget(t *testing.T) {
	const takers, rounds = 4, 300_000
	b := newBudget()
	var inUse, over, refused atomic.Int64
	var all sync.WaitGroup
	for id := range takers {
		all.Go(func() {
			var s share
			var mine [16]int
			for round := range rounds {
				at, n := round%len(mine), (round*7919+id*104729)%16000 // without a pattern
				inUse.Add(-int64(mine[at]))
				b.add(&s, -mine[at])
				mine[at] = 0
				if !b.take(&s, n, purpose(round%2)) {
					refused.Add(1)
					continue
				}
				mine[at] = n
				if inUse.Add(int64(n)) > b.limits.Total {
					over.Add(1)
				}
			}
			for _, n := range mine {
				inUse.Add(-int64(n))
				b.add(&s, -n)
			}
			assert.Zero(t, s.held.Load())
		})
	}
	all.Wait()
	assert.Zero(t, over.Load())
	assert.Zero(t, b.Held())
	assert.Positive(t, refused.Load(), "nothing was tested")
}

func TestTheMoreAConnectionHoldsTheEarlierItWaits(t *testing.T) {
	b := newBudget()
	for own, want := range map[int64]int64{0: 90, 1 << 10: 84, 4 << 10: 82, 8<<10 - 1: 80, 8 << 10: 80, 50 << 10: 80} {
		assert.Equal(t, want, b.ceiling(own, reading)>>10, "reads of who holds %d", own)
	}
	assert.Equal(t, b.limits.Total, b.ceiling(0, writing))
	assert.Equal(t, b.limits.Total, b.ceiling(8<<10-1, writing))
	assert.Equal(t, b.limits.HighWater, b.ceiling(8<<10, writing), "who holds a share gets no more for writes either")
}

func TestBelowTheHighWaterNoConnectionIsRefused(t *testing.T) {
	b := newBudget()
	var s share
	assert.True(t, b.take(&s, 80<<10, reading), "also all of it at once")
	assert.False(t, b.take(&s, 1, reading))
	assert.False(t, b.take(&s, 1, writing))
	var other share
	assert.True(t, b.take(&other, 10<<10, reading))
	assert.False(t, b.take(new(share), 1, reading))
	assert.True(t, b.take(new(share), 10<<10, writing))
	assert.False(t, b.take(new(share), 1, writing))
	assert.EqualValues(t, 100<<10, b.Held())
}

func TestAWriteTakesWhatItsMemoryIsAndGivesItBackWhenItIsWritten(t *testing.T) {
	b := newBudget()
	s := &taker{allow: 0}
	c := budgeted(b, Options{}, s)
	_, err := c.Write([]byte("a copy"))
	require.NoError(t, err)
	assert.EqualValues(t, 256, b.Held(), "a copy lies in a chunk")
	require.NoError(t, c.WriteOwned(make([]byte, 1000), nil))
	require.NoError(t, c.WriteBuffers([][]byte{make([]byte, 10), make([]byte, 20)}, nil))
	require.NoError(t, c.WriteOwned(nil, nil))
	_, err = c.Write(nil)
	require.NoError(t, err)
	require.NoError(t, c.WriteFile(os.Stdin, 0, 1<<30, nil))
	assert.EqualValues(t, 256+1000+30, b.Held(), "a file takes nothing")
	assert.EqualValues(t, 256+1000+30, c.share().held.Load())

	c.writer.inbox.drainTo(&c.writer.queue)
	c.writer.wrote(6 + 999)
	assert.EqualValues(t, 1000+30, b.Held(), "memory comes back as a whole")
	c.writer.wrote(1)
	assert.EqualValues(t, 30, b.Held())
	c.credit.close()
	c.writer.end(protocol.ErrAborted)
	assert.Zero(t, b.Held())
	assert.Zero(t, c.share().held.Load())
}

func TestAWriteThatIsRefusedForAnotherReasonTakesNothing(t *testing.T) {
	b := newBudget()
	c := budgeted(b, Options{WriteQueueSize: 2, WriteBufferSize: 1000}, &taker{})
	require.NoError(t, c.WriteOwned(make([]byte, 900), nil))
	assert.Equal(t, protocol.ErrWriteBufferFull, c.WriteOwned(make([]byte, 101), nil))
	require.NoError(t, c.WriteOwned(nil, nil))
	assert.Equal(t, protocol.ErrWriteQueueFull, c.WriteOwned([]byte("x"), nil))
	c.credit.close()
	assert.Equal(t, protocol.ErrClosed, c.WriteOwned([]byte("x"), nil))
	assert.EqualValues(t, 900, b.Held())
}

func TestABudgetThatIsUsedUpIsTheLastReasonToRefuseAWrite(t *testing.T) {
	b := newBudget()
	b.add(new(share), 100<<10)
	c := budgeted(b, Options{WriteQueueSize: 1}, &taker{})
	assert.Equal(t, protocol.ErrMemoryBudget, c.WriteOwned([]byte("x"), nil))
	assert.EqualValues(t, 1, b.Refused())
	assert.ErrorIs(t, c.WriteOwned(make([]byte, 1<<20), nil), protocol.ErrWriteTooLarge)
	require.NoError(t, c.WriteOwned(nil, nil), "what takes nothing fits")
	assert.Equal(t, protocol.ErrWriteQueueFull, c.WriteOwned([]byte("x"), nil))
	c.credit.close()
	assert.Equal(t, protocol.ErrClosed, c.WriteOwned([]byte("x"), nil))
	assert.EqualValues(t, 1, b.Refused())
}

func TestAWriteThatTheBudgetRefusesIsNoMatterOfASlowPeer(t *testing.T) {
	for policy := SlowRefuse; policy <= SlowDropNewest; policy++ {
		b := newBudget()
		b.add(new(share), 100<<10)
		c := budgeted(b, Options{SlowConsumer: policy}, &taker{})
		assert.Equal(t, protocol.ErrMemoryBudget, c.WriteOwned([]byte("x"), nil))
		assert.Zero(t, c.signals.Load()&signalSlow)
		assert.Zero(t, c.stats().DroppedWrites)
	}
}

// reads lets a connection have n unread bytes, as fetch does, and shows them.
func (c *Connection) reads(t *testing.T, n int) *protocol.Buffer {
	room := c.shared.options.ReadBufferSize - c.input.Len()
	require.True(t, c.shared.budget.take(c.share(), c.input.SpaceGrowth(room), reading))
	c.share().input += c.input.SpaceGrowth(room)
	space := c.input.Space(room)
	c.input.Filled(n, space)
	c.account()
	return c.present(false).(*protocol.Data).Buffer
}

func TestUnreadBytesTakeTheirChunkUntilTheyAreConsumed(t *testing.T) {
	b := newBudget()
	c := budgeted(b, Options{}, &taker{})
	c.reads(t, 100).Discard(99)
	c.takeBack()
	assert.EqualValues(t, 2<<10, b.Held(), "one byte keeps it all")
	c.reads(t, 0).Discard(1)
	c.takeBack()
	assert.Zero(t, b.Held())
}

func TestWhatIsDetachedBelongsToTheHandler(t *testing.T) {
	b := newBudget()
	c := budgeted(b, Options{}, &taker{})
	c.reads(t, 100).Take()
	c.takeBack()
	assert.Zero(t, b.Held())
}

func TestMemoryThatIsForwardedIsTakenOnce(t *testing.T) {
	b := newBudget()
	c := budgeted(b, Options{}, &taker{allow: 1 << 20})
	buffer := c.reads(t, 1000)
	b.add(new(share), int(b.limits.Total-b.Held())) // so there is nothing left
	n, err := c.Forward(buffer)
	require.NoError(t, err, "it only changes hands")
	assert.Equal(t, 1000, n)
	assert.Equal(t, b.limits.Total, b.Held())
	c.takeBack()
	assert.Equal(t, b.limits.Total, b.Held())
	assert.EqualValues(t, 2<<10, c.share().held.Load())
	c.writer.await()
	c.writer.write()
	assert.Zero(t, c.share().held.Load())
}

// It moves, and the total stays: connections that forward to each other could wait for each other's
// memory otherwise.
func TestMemoryThatIsForwardedToAnotherConnectionMovesThere(t *testing.T) {
	for _, n := range []int{1000, 100} { // 100 would be copied if there were memory for a copy
		b := newBudget()
		c, other := budgeted(b, Options{}, &taker{}), budgeted(b, Options{}, &taker{})
		buffer := c.reads(t, n)
		b.add(new(share), int(b.limits.Total-b.Held())) // so there is nothing left
		sent, err := other.Forward(buffer)
		require.NoError(t, err)
		assert.Equal(t, n, sent)
		c.takeBack()
		assert.Zero(t, c.share().held.Load())
		assert.EqualValues(t, 2<<10, other.share().held.Load())
		assert.Equal(t, b.limits.Total, b.Held())
		assert.Zero(t, b.Wanting(), "a write was refused")
	}
}

func TestALittleThatIsForwardedIsCopiedWhileThereIsMemory(t *testing.T) {
	b := newBudget()
	c, other := budgeted(b, Options{}, &taker{}), budgeted(b, Options{}, &taker{})
	_, err := other.Forward(c.reads(t, 100))
	require.NoError(t, err)
	assert.EqualValues(t, 2<<10, c.share().held.Load())
	assert.EqualValues(t, 256, other.share().held.Load(), "the memory of a small copy")
	c.takeBack()
	assert.EqualValues(t, 256, b.Held())
}

func TestMemoryThatIsForwardedIntoAnotherBudgetIsTakenThere(t *testing.T) {
	b, elsewhere := newBudget(), newBudget()
	c, other := budgeted(b, Options{}, &taker{}), budgeted(elsewhere, Options{}, &taker{})
	buffer := c.reads(t, 1000)
	elsewhere.add(new(share), int(elsewhere.limits.Total))
	_, err := other.Forward(buffer)
	assert.Equal(t, protocol.ErrMemoryBudget, err)
	assert.Equal(t, 1000, buffer.Len())
	elsewhere.add(new(share), -int(elsewhere.limits.Total))
	_, err = other.Forward(buffer)
	require.NoError(t, err)
	c.takeBack()
	assert.Zero(t, b.Held())
	assert.EqualValues(t, 2<<10, elsewhere.Held())
}

// feeder is a socket with the input that the test gives it. It notes how much it is asked for.
type feeder struct {
	taker
	has          int
	ahead, asked []int
}

func (f *feeder) Ready(room int) bool {
	f.ahead = append(f.ahead, room)
	return true
}

func (f *feeder) Growth(in *transport.Input, room int) int { return in.SpaceGrowth(room) }

func (f *feeder) Fill(in *transport.Input, room int) (int, error) {
	f.asked = append(f.asked, room)
	space := in.Space(room)
	n := min(f.has, len(space))
	in.Filled(n, space)
	if n == 0 {
		return 0, transport.ErrAgain
	}
	return n, nil
}

// eager is a feeder that reads ahead into memory of its own.
type eager struct{ feeder }

func (e *eager) Ahead(room int) (int, bool) { return min(room, 4<<10), true }
func (e *eager) Shrink()                    {}

func TestATransportReadsAheadAsWithoutABudgetWhileThereIsRoom(t *testing.T) {
	e := &eager{}
	c := newConnection(Options{}, e)
	b := newBudget()
	c.shared.budget = b
	c.makeRare().share = new(share)
	for _, has := range []int{100, 256, 2048, 300, 255, 10} {
		e.has = has
		c.fetch()
		assert.Zero(t, b.ahead.Load(), "what was fetched counts as held")
		c.input.Release()
		c.account()
	}
	assert.Equal(t, []int{8 << 10, 8 << 10, 8 << 10, 8 << 10, 8 << 10, 8 << 10}, e.ahead)

	e.has = 0
	c.fetch()
	assert.EqualValues(t, 4<<10, b.ahead.Load(), "it waits")
	assert.Zero(t, b.Held())
	c.leaveBudget()
	assert.Zero(t, b.ahead.Load())
}

func TestReadAheadGrowsOnlyWithFullReads(t *testing.T) {
	for says, fill := range map[string]func(b *Budget){
		"others have been lent an eighth": func(b *Budget) { b.ahead.Add(b.limits.Total/8 - 1) },
		"the high water is near":          func(b *Budget) { b.add(new(share), int(b.limits.HighWater)-2<<10) },
	} {
		t.Run(says, func(t *testing.T) {
			e := &eager{}
			c := newConnection(Options{}, e)
			c.shared.budget = newBudget()
			c.makeRare().share = new(share)
			fill(c.shared.budget)
			before := c.shared.budget.ahead.Load()
			for _, has := range []int{100, 256, 2000, 300, 255, 10} {
				e.has = has
				c.fetch()
				c.input.Release()
				c.account()
			}
			assert.Equal(t, []int{256, 256, 2048, 2048, 2048, 256}, e.ahead)
			assert.Equal(t, before, c.shared.budget.ahead.Load())
		})
	}

	f := &feeder{has: 100}
	c := newConnection(Options{}, f)
	c.fetch()
	assert.Equal(t, []int{8 << 10}, f.ahead, "without a budget as much as there is room")
}

func TestAboveTheHighWaterAConnectionBeginsWithALittle(t *testing.T) {
	f := &feeder{has: 10_000}
	c := newConnection(Options{}, f)
	b := newBudget()
	c.shared.budget = b
	c.makeRare().share = new(share)
	b.add(new(share), int(b.limits.HighWater))
	c.fetch()
	assert.EqualValues(t, 256, c.share().held.Load())
	c.fetch()
	assert.Equal(t, []int{256, 8<<10 - 256}, f.asked)
	assert.EqualValues(t, 512, c.share().held.Load())
}

func TestAConnectionThatCannotAffordAReadWaitsUntilItIsLetOn(t *testing.T) {
	f := &feeder{has: 10}
	c := newConnection(Options{}, f)
	b := newBudget()
	c.shared.budget = b
	c.makeRare().share = new(share)
	var others share
	b.add(&others, int(b.limits.Total))
	assert.Nil(t, c.fetch())
	assert.Empty(t, f.asked)
	assert.Equal(t, 1, b.Waiting())
	assert.EqualValues(t, 256, c.share().need.Load())
	b.add(&others, -int(b.limits.Total))
	assert.Nil(t, c.fetch(), "not before")
	assert.Equal(t, 1, b.Waiting())
	require.True(t, b.goOn(c.share()))
	assert.NotNil(t, c.fetch())
	assert.Zero(t, b.Waiting())
	assert.False(t, b.goOn(c.share()))
}

func TestWhatAConnectionNeedsIsForgottenOnceItGivesSomethingBack(t *testing.T) {
	f := &feeder{has: 2048}
	c := newConnection(Options{}, f)
	b := newBudget()
	c.shared.budget = b
	c.makeRare().share = new(share)
	c.fetch()
	b.add(new(share), int(b.limits.Total-b.Held()))
	assert.Nil(t, c.fetch())
	assert.EqualValues(t, 2048, c.share().need.Load())
	c.shown.buffer.Discard(2048)
	c.takeBack()
	assert.Zero(t, c.share().need.Load())
}
