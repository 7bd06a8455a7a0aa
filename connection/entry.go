package connection

import (
	"os"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection/transport"
)

// entry is one accepted write on its way from the caller to the kernel. It is pooled; its owner is whoever took it
// from the mailbox, at last the writer.
type entry struct {
	data  []byte           // what is left to write of the first slice
	more  [][]byte         // the slices after it
	chunk *transport.Chunk // the memory behind data, to be released; nil where it was the caller's own
	file  *os.File         // instead of data: left bytes from its position
	left  int              // bytes not yet taken by the kernel

	reserved int // bytes of credit it still holds
	memory   int // bytes of the budget it holds, to its end

	next *entry // in the writer's queue

	done   func(error) // the completion, if one is wanted
	sender *actor.PID  // for a Write that came by PID: who gets Written or WriteFailed
	ack    any
	token  any
}

var entries = sync.Pool{New: func() any { return new(entry) }}

func newEntry() *entry { return entries.Get().(*entry) }

// free gives the entry and its memory back.
func (e *entry) free() {
	if e.chunk != nil {
		e.chunk.Release()
	}
	*e = entry{}
	entries.Put(e)
}

// advance says that the kernel took n more bytes of it.
func (e *entry) advance(n int) {
	e.left -= n
	if e.file != nil {
		return
	}
	for n >= len(e.data) && len(e.more) > 0 {
		n -= len(e.data)
		e.data, e.more = e.more[0], e.more[1:]
	}
	e.data = e.data[n:]
}
