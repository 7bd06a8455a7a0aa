package load

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAStreamIsTheSameHoweverItIsCut(t *testing.T) {
	s := NewStream(7)
	const position = period - 100 // across the end of a period
	whole := bytes.Clone(s.At(position, 4096))
	var pieces []byte
	for at := uint64(position); at < position+4096; at += 64 {
		pieces = append(pieces, s.At(at, 64)...)
	}
	assert.Equal(t, whole, pieces)
}

func TestConnectionsHaveStreamsOfTheirOwn(t *testing.T) {
	seen := map[string]int{}
	for number := range 20_000 {
		first := string(NewStream(number).At(0, 16))
		other, taken := seen[first]
		require.False(t, taken, "connections %d and %d send the same", other, number)
		seen[first] = number
	}
}

func TestACheckNamesTheFirstByteThatDiffers(t *testing.T) {
	s := NewStream(3)
	got := bytes.Clone(s.At(1000, 64))
	require.NoError(t, s.Check(1000, got))

	got[17] ^= 0x20
	assert.ErrorContains(t, s.Check(1000, got), "byte 1017 came back as")

	swapped := bytes.Clone(s.At(1000, 64))
	swapped[5], swapped[6] = swapped[6], swapped[5]
	assert.ErrorContains(t, s.Check(1000, swapped), "byte 1005 came back as")

	assert.Error(t, s.Check(1000, s.At(1064, 64)), "the next message is another one")
}

func TestOnlyTheSleepersMessageSaysSleep(t *testing.T) {
	assert.NotContains(t, string(table), "sleep")
	s := RepeatedStream(sleepMessage(64))
	for message := range uint64(3) {
		assert.Equal(t, "sleep", string(s.At(message*64, 5)))
	}
	assert.Len(t, s.At(63, MaxChunk), MaxChunk)
}

func TestARingGivesTimesBackInOrder(t *testing.T) {
	r := newRing(3)
	for round := range int64(5) {
		r.push(round * 10)
		r.push(round*10 + 1)
		assert.Equal(t, round*10, r.pop())
		assert.Equal(t, round*10+1, r.pop())
	}
	assert.Zero(t, r.count)
	assert.Panics(t, func() {
		for range 4 {
			r.push(0)
		}
	}, "more than it holds would lose a time")

	var none ring
	none.push(1)
	assert.Zero(t, none.count)
}
