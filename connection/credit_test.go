package connection

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/protocol"
)

// plainCredit is a credit without the packing into one word.
type plainCredit struct {
	limits
	count, size  int
	shut, raised bool
	fits         int // the largest refused write plus 1
}

func (c *plainCredit) reserve(n int) (crossed bool, err error) {
	switch {
	case c.shut:
		return false, protocol.ErrClosed
	case n > c.bytes:
		return false, protocol.ErrWriteTooLarge
	case c.count >= c.writes:
		return false, protocol.ErrWriteQueueFull
	case c.size+n > c.bytes:
		return false, protocol.ErrWriteBufferFull
	}
	c.count++
	c.size += n
	crossed = !c.raised && c.size >= c.highWater
	c.raised = c.raised || crossed
	return crossed, nil
}

func (c *plainCredit) release(writes, bytes int) (crossed bool) {
	c.count -= writes
	c.size -= bytes
	roomy := c.fits == 0 || c.count <= c.writes/2 && c.size+c.fits-1 <= c.bytes
	crossed = c.raised && c.size <= c.lowWater && roomy
	if crossed {
		c.raised, c.fits = false, 0
	}
	return crossed
}

func (c *plainCredit) refuse(n int) bool {
	if c.shut || n > c.bytes || c.count < c.writes && c.size+n <= c.bytes {
		return false
	}
	c.raised, c.fits = true, max(c.fits, n+1)
	return true
}

func TestCreditAgreesWithItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limits{
			writes:    rapid.IntRange(1, 8).Draw(t, "writes"),
			bytes:     rapid.IntRange(1, 100).Draw(t, "bytes"),
			highWater: rapid.OneOf(rapid.Just(math.MaxInt), rapid.IntRange(1, 100)).Draw(t, "high"),
		}
		l.lowWater = rapid.IntRange(0, min(l.highWater-1, 100)).Draw(t, "low")
		var c credit
		model := plainCredit{limits: l}
		var held []int // the bytes of each reserved write, some of which may be released before it
		t.Repeat(map[string]func(*rapid.T){
			"reserve": func(t *rapid.T) {
				n := rapid.IntRange(0, 110).Draw(t, "n")
				crossed, err := c.reserve(n, &l)
				wantCrossed, wantErr := model.reserve(n)
				require.Equal(t, wantErr, err)
				require.Equal(t, wantCrossed, crossed)
				if err == nil {
					held = append(held, n)
				}
			},
			"release": func(t *rapid.T) {
				if len(held) == 0 {
					t.Skip("nothing is held")
				}
				writes := rapid.IntRange(0, len(held)).Draw(t, "writes")
				bytes := 0
				for _, n := range held[:writes] {
					bytes += n
				}
				held = held[writes:]
				if len(held) > 0 { // and a part of the next one
					part := rapid.IntRange(0, held[0]).Draw(t, "part")
					held[0] -= part
					bytes += part
				}
				fits := func() int { return model.fits }
				got := c.release(writes, bytes, &l, fits)
				require.Equal(t, model.release(writes, bytes), got)
			},
			"refuse": func(t *rapid.T) {
				n := rapid.IntRange(0, 110).Draw(t, "n")
				require.Equal(t, model.refuse(n), c.refuse(n, &l))
			},
			"close": func(t *rapid.T) {
				if rapid.IntRange(0, 9).Draw(t, "seldom") == 0 {
					c.close()
					model.shut = true
				}
			},
			"": func(t *rapid.T) {
				writes, bytes := c.pending()
				require.Equal(t, [2]int{model.count, model.size}, [2]int{writes, bytes})
				require.Equal(t, model.count == 0, c.idle())
				require.Equal(t, model.raised, c.high())
			},
		})
	})
}

func TestTheCountIsCheckedBeforeTheBytes(t *testing.T) {
	var c credit
	l := limits{writes: 1, bytes: 10, highWater: math.MaxInt}
	_, err := c.reserve(11, &l)
	require.Equal(t, protocol.ErrWriteTooLarge, err, "it would not fit into an empty queue")
	_, err = c.reserve(10, &l)
	require.NoError(t, err)
	_, err = c.reserve(1, &l)
	require.Equal(t, protocol.ErrWriteQueueFull, err, "both are exceeded")
}

func TestARefusalTakesNothing(t *testing.T) {
	var c credit
	l := limits{writes: 2, bytes: 10, highWater: 5}
	for range 1000 {
		_, err := c.reserve(11, &l)
		require.Error(t, err)
	}
	writes, bytes := c.pending()
	assert.Equal(t, [2]int{}, [2]int{writes, bytes})
	assert.False(t, c.high())
}

func TestTheGreatestLimitsDoNotRunIntoEachOther(t *testing.T) {
	noWater := limits{writes: maxCount, bytes: maxBytes, highWater: math.MaxInt}
	var c credit
	_, err := c.reserve(maxBytes, &noWater)
	require.NoError(t, err)
	_, err = c.reserve(1, &noWater)
	require.Equal(t, protocol.ErrWriteBufferFull, err)
	c.release(1, maxBytes, &noWater, noneRefused)
	assert.Zero(t, c.word.Load())

	c.word.Store(uint64(maxCount-1) << countShift)
	_, err = c.reserve(0, &noWater)
	require.NoError(t, err)
	_, err = c.reserve(0, &noWater)
	require.Equal(t, protocol.ErrWriteQueueFull, err)
	assert.False(t, c.high())
	c.close()
	writes, bytes := c.pending()
	assert.Equal(t, [2]int{maxCount, 0}, [2]int{writes, bytes}, "closing changes nothing else")
	c.release(maxCount, 0, &noWater, noneRefused)
	assert.True(t, c.idle())
}

func BenchmarkCredit(b *testing.B) {
	var c credit
	l := Options{}.WithDefaults().limits()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.reserve(64, &l)
		c.release(1, 64, &l, noneRefused)
	}
}

func BenchmarkCreditRefusal(b *testing.B) {
	var c credit
	l := limits{writes: 1, bytes: 64, highWater: math.MaxInt}
	_, _ = c.reserve(64, &l)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.reserve(64, &l)
	}
}

func TestARefusalIsToldOnceHalfThePlacesAreFreeAndTheWriteFits(t *testing.T) {
	var c credit
	l := limits{writes: 4, bytes: 100, highWater: math.MaxInt, lowWater: 50}
	for range 4 {
		_, err := c.reserve(20, &l)
		require.NoError(t, err)
	}
	require.True(t, c.refuse(70, &l))
	require.True(t, c.high())
	fits := func() int { return 71 }
	assert.False(t, c.release(1, 20, &l, fits), "60 bytes are above the low water mark")
	assert.False(t, c.release(1, 20, &l, fits), "70 do not fit beside 40")
	assert.True(t, c.release(1, 20, &l, fits))
	assert.False(t, c.high())
	assert.False(t, c.refuse(70, &l), "it fits by now")
	assert.False(t, c.refuse(101, &l), "it never will")
	c.close()
	assert.False(t, c.refuse(70, &l), "no room will help")
}

func noneRefused() int { return 0 }
