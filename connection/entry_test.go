package connection

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/connection/transport"
)

func TestAnEntryKeepsSmallMemoryForTheNextCopy(t *testing.T) {
	e := new(entry)
	e.copyOf([]byte("small"))
	kept := e.chunk
	e.clear()
	assert.Equal(t, entry{chunk: kept}, *e)
	e.copyOf([]byte("next"))
	assert.Same(t, kept, e.chunk)
	assert.Equal(t, "next", string(e.data))

	large := bytes.Repeat([]byte{'x'}, keepMemory+1)
	e.clear()
	e.copyOf(large)
	assert.Equal(t, large, e.data)
	e.clear()
	assert.Nil(t, e.chunk, "memory for one large write is no entry's")

	e.copyOf([]byte("small"))
	e.clear()
	handed := transport.NewChunk(4096)
	e.hold(handed)
	assert.Same(t, handed, e.chunk)
	e.clear()
	assert.Nil(t, e.chunk)
}
