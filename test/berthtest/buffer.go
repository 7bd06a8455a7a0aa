package berthtest

import (
	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol"
)

// Buffer is a berth.Buffer for calls of a handler's Data: a test feeds it as the network would. The
// zero value is empty. Bytes that the handler does not consume stay in front of the bytes that are
// fed next.
//
// As in a connection, a slice of the unread bytes is valid until the handler returns. The next Feed
// or End overwrites the memory, unless the handler took it with Detach or Forward. So a test
// detects a handler that keeps a slice.
type Buffer struct {
	berth.Buffer
	memory []byte // behind the unread bytes
}

// memoryOwner is the owner of the memory that a Buffer shows. The berth.Buffer has none once the
// memory was handed over.
var memoryOwner = new(int)

// Feed adds what the peer sent, and returns the Buffer for Data. It panics after End.
func (b *Buffer) Feed(data string) *berth.Buffer {
	if b.AtEOF() {
		panic("berthtest: Feed after End: nothing follows a FIN")
	}
	return b.show(data, false)
}

// End adds the peer's FIN: nothing follows what is unread now. It returns the Buffer for Data.
func (b *Buffer) End() *berth.Buffer {
	return b.show("", true)
}

// show moves the unread bytes, with data behind them, to new memory.
func (b *Buffer) show(data string, eof bool) *berth.Buffer {
	memory := append(append(make([]byte, 0, b.Len()+len(data)), b.Bytes()...), data...)
	if (*protocol.Source)(&b.Buffer).Storage() != nil {
		for i := range b.memory {
			b.memory[i] = overwritten
		}
	}
	b.memory = memory
	(*protocol.Source)(&b.Buffer).Attach(memory, memoryOwner, eof)
	return &b.Buffer
}

// overwritten fills memory that a handler must not look at any more.
const overwritten = 0xDB
