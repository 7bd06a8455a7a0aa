package transport_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/connection/transport"
)

// The model of an Input is a slice of bytes, with any appends at its end and any consumption at its
// beginning.
func TestAnInputIsASliceOfTheUnreadBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var in transport.Input
		var model []byte
		next := byte(0)
		write := func(p []byte) {
			for i := range p {
				p[i] = next
				model = append(model, next)
				next++
			}
		}
		sizes := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(1, 9000))
		t.Repeat(map[string]func(*rapid.T){
			"fill": func(t *rapid.T) {
				room := sizes.Draw(t, "room")
				held := in.Held() + in.SpaceGrowth(room)
				space := in.Space(room)
				require.Equal(t, held, in.Held())
				require.NotEmpty(t, space)
				require.LessOrEqual(t, len(space), room)
				require.Equal(t, string(model), string(in.Bytes()), "asking for space changes nothing")
				n := rapid.IntRange(0, len(space)).Draw(t, "n")
				write(space[:n])
				in.Filled(n, space)
			},
			"append": func(t *rapid.T) {
				n := sizes.Draw(t, "n")
				c := transport.NewChunk(n)
				write(c.Bytes[:n])
				held := in.Held() + in.AppendGrowth(len(c.Bytes), n)
				in.Append(c, n)
				require.Equal(t, held, in.Held())
			},
			"keep": func(t *rapid.T) {
				n := rapid.IntRange(0, len(model)).Draw(t, "n")
				in.Keep(n)
				model = model[len(model)-n:]
			},
			"lose": func(t *rapid.T) {
				if c := in.Chunk(); c != nil {
					defer c.Release()
				}
				in.Lose()
				model = model[:0]
			},
			"release": func(*rapid.T) {
				in.Release()
				model = model[:0]
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model), in.Len())
				require.Equal(t, string(model), string(in.Bytes()))
				require.Equal(t, len(model) > 0, in.Chunk() != nil, "an idle connection holds no memory")
				require.Equal(t, len(model) > 0, in.Held() > 0)
			},
		})
	})
}

func TestReadSpaceFollowsTheReads(t *testing.T) {
	var in transport.Input
	read := func(n int) int {
		space := in.Space(64 << 10)
		n = min(n, len(space))
		in.Filled(n, space)
		in.Keep(0)
		return len(space)
	}
	assert.Equal(t, 2<<10, read(1<<20), "the first one is small")
	assert.Equal(t, 4<<10, read(1<<20))
	assert.Equal(t, 8<<10, read(1<<20))
	assert.Equal(t, 16<<10, read(1))
	assert.Equal(t, 8<<10, read(1))
	assert.Equal(t, 4<<10, read(1))
	assert.Equal(t, 2<<10, read(1))
	assert.Equal(t, 2<<10, read(1), "and never below the first one")
}

func TestWhatWasConsumedMakesRoomInTheSameChunk(t *testing.T) {
	var in transport.Input
	space := in.Space(2 << 10)
	in.Filled(copy(space, make([]byte, 2<<10)), space)
	before := in.Chunk()
	in.Keep(10)
	assert.Len(t, in.Space(2<<10), 2<<10-10)
	assert.Same(t, before, in.Chunk())
	in.Release()
}

func TestHowMuchMoreMemoryAReadTakesIsKnownBefore(t *testing.T) {
	var in transport.Input
	assert.Equal(t, 2<<10, in.SpaceGrowth(8<<10), "the first chunk")
	assert.Equal(t, 256, in.SpaceGrowth(1), "the smallest")
	space := in.Space(2 << 10)
	in.Filled(len(space)-1, space)
	assert.Zero(t, in.SpaceGrowth(8<<10), "there is room for a byte")
	in.Filled(1, in.Space(1))
	assert.Equal(t, 2<<10, in.SpaceGrowth(1), "a chunk of the next size takes its place")
	in.Release()
}

func TestAppendToNothingTakesTheChunkOverWithoutACopy(t *testing.T) {
	var in transport.Input
	c := transport.NewChunk(100)
	in.Append(c, 50)
	assert.Same(t, c, in.Chunk())
	in.Release()
	assert.Nil(t, in.Bytes())
}

// A long frame that comes in small pieces is copied a constant number of times, also where its
// memory is too large for the pools.
func TestBytesThatComeInPiecesAreCopiedAFewTimesOnly(t *testing.T) {
	const size, piece = 8 << 20, 4 << 10
	for name, add := range map[string]func(in *transport.Input){
		"filled": func(in *transport.Input) {
			space := in.Space(min(size-in.Len(), piece))
			in.Filled(len(space), space)
		},
		"filled from much room": func(in *transport.Input) {
			space := in.Space(size - in.Len())
			in.Filled(min(len(space), piece), space)
		},
		"appended": func(in *transport.Input) { in.Append(transport.NewChunk(piece), piece) },
	} {
		var in transport.Input
		copied := 0
		for in.Len() < size {
			before, unread := in.Chunk(), in.Len()
			add(&in)
			if in.Chunk() != before {
				copied += unread
			}
		}
		assert.Less(t, copied, 6*size, name)
		assert.LessOrEqual(t, in.Held(), size+size/4, name)
		in.Release()
	}
}
