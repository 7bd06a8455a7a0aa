package tcpactor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// numbered returns a turn that can be told from others: it writes its number.
func numbered(n int, to *int) turn { return function(func() { *to = n }) }

// The model is a slice. Bursts are long, so that the ring wraps, grows and gives back its memory.
func TestTheRunQueueIsAQueueWhateverItGrowsTo(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q turns
		var model []int
		next, ran := 0, 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 3*fewestTurns).Draw(t, "turns") {
					q.push(numbered(next, &ran))
					model = append(model, next)
					next++
				}
			},
			"pop": func(t *rapid.T) {
				for range min(rapid.IntRange(1, 3*fewestTurns).Draw(t, "turns"), len(model)) {
					q.pop().run()
					if ran != model[0] {
						t.Fatalf("got turn %d instead of %d", ran, model[0])
					}
					model = model[1:]
				}
			},
			"": func(t *rapid.T) {
				if q.len() != len(model) {
					t.Fatalf("%d turns instead of %d", q.len(), len(model))
				}
				kept := 0
				for _, slot := range q.slots {
					if slot != nil {
						kept++
					}
				}
				if kept != len(model) {
					t.Fatalf("the queue holds on to %d turns, %d of which have run", kept, kept-len(model))
				}
			},
		})
	})
}

func TestTheRunQueueGrowsByDoublingAndABurstsMemoryIsGivenBack(t *testing.T) {
	const most = 16 * fewestTurns
	for turns, slots := range map[int]int{1: fewestTurns, fewestTurns: fewestTurns, fewestTurns + 1: 2 * fewestTurns, most: most, most + 1: 2 * most} {
		q, ran := newTurns(turns)
		require.Len(t, q.slots, slots, "%d turns", turns)
		for i := range turns {
			q.pop().run()
			require.Equal(t, i, *ran)
		}
		if turns > most {
			assert.Empty(t, q.slots, "a burst is over")
		} else {
			assert.Len(t, q.slots, slots, "%d turns: what comes often is kept", turns)
		}
		q.push(numbered(-1, ran)) // also after that
		q.pop().run()
		assert.Equal(t, -1, *ran)
	}
}

func TestAQueueThatRunsEmptyAllTheTimeMakesNoAllocation(t *testing.T) {
	q, _ := newTurns(1)
	turn := q.pop()
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		for range fewestTurns {
			q.push(turn)
		}
		for range fewestTurns {
			q.pop()
		}
	}))
}

func newTurns(n int) (*turns, *int) {
	q, ran := new(turns), new(int)
	for i := range n {
		q.push(numbered(i, ran))
	}
	return q, ran
}
