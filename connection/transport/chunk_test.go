package transport_test

import (
	"math/bits"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

func TestAChunkIsTheNextPowerOfTwoFrom256BytesTo1MiB(t *testing.T) {
	for size, want := range map[int]int{
		-1: 256, 0: 256, 1: 256, 255: 256, 256: 256,
		257: 512, 512: 512, 513: 1024, 2 << 10: 2 << 10, 8<<10 + 1: 16 << 10,
		1<<20 - 1: 1 << 20, 1 << 20: 1 << 20,
		1<<20 + 1: 1<<20 + 1, 3 << 20: 3 << 20, // not pooled, so not rounded
	} {
		c := transport.NewChunk(size)
		assert.Len(t, c.Bytes, want, "for %d", size)
		assert.Equal(t, want, transport.ChunkSize(size))
		assert.Equal(t, len(c.Bytes), cap(c.Bytes))
		c.Release()
	}
}

func TestAChunkOfEverySizeHasRoomAndComesBackInItsClass(t *testing.T) {
	for size := 1; size <= 1<<21; size += 1 + size/7 {
		c := transport.NewChunk(size)
		require.GreaterOrEqual(t, len(c.Bytes), size)
		if len(c.Bytes) <= 1<<20 {
			require.Equal(t, 1, bits.OnesCount(uint(len(c.Bytes))))
		}
		c.Release()
	}
}

func TestAChunkHasOneOwnerAtATime(t *testing.T) {
	var owners sync.WaitGroup
	for owner := range 8 {
		owners.Go(func() {
			for i := range 2000 {
				c := transport.NewChunk(300 << (i % 3))
				for j := range c.Bytes {
					c.Bytes[j] = byte(owner)
				}
				for _, b := range c.Bytes {
					if b != byte(owner) {
						assert.Fail(t, "somebody else wrote here")
						return
					}
				}
				c.Release()
			}
		})
	}
	owners.Wait()
}
