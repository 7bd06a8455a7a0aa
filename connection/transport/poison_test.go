//go:build berthdebug

package transport_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/connection/transport"
)

func TestAReleasedChunkIsOverwritten(t *testing.T) {
	for _, size := range []int{100, 4 << 10, 2 << 20} {
		c := transport.NewChunk(size)
		kept := c.Bytes
		copy(kept, "kept by mistake")
		c.Release()
		assert.Equal(t, bytes.Repeat([]byte{0xDB}, len(kept)), kept)
	}
}
