//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// A tls.Conn keeps two buffers for its life: rawInput, which becomes as large as the largest
// record, 34 KB, and hand, for messages of the handshake. Between two reads nothing is in them,
// unless a record has come in part. crypto/tls has no call that lends or drops them, so this file
// reaches them by their names. With a release of Go that has no such fields it does nothing, and
// TestCryptoTLSHasTheBuffersThatAreLent says so.
//
//	lend      a chunk is rawInput for the reads of one Fill, with what has come of a record
//	takeBack  after the last of them it goes back to the pool
//
// A read that would block has come to the end of what is in rawInput: no plain text lies there any
// more. After every other read the chunk stays.

// offsets of the buffers in a tls.Conn; 0: this release of Go has none of the name.
var rawInputOffset, handOffset = bufferOffset("rawInput"), bufferOffset("hand")

func bufferOffset(name string) uintptr {
	if field, ok := reflect.TypeFor[tls.Conn]().FieldByName(name); ok && field.Type == reflect.TypeFor[bytes.Buffer]() {
		return field.Offset
	}
	return 0
}

func bufferAt(conn *tls.Conn, offset uintptr) *bytes.Buffer {
	return (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(conn), offset))
}

// dropBuffers gives up the memory of conn's empty buffers after the handshake. No read of conn is
// under way.
func dropBuffers(conn *tls.Conn) {
	dropEmpty(conn, rawInputOffset)
	dropEmpty(conn, handOffset)
}

func dropEmpty(conn *tls.Conn, offset uintptr) {
	if offset == 0 {
		return
	}
	if b := bufferAt(conn, offset); b.Len() == 0 {
		*b = bytes.Buffer{}
	}
}

const (
	lentSize  = 32 << 10 // a record of 16 KiB with what crypto/tls asks for beside it: 18 KiB
	mostOwned = 1 << 10  // so much of a record waits for its rest in memory of its own size
)

// lend gives the tls.Conn memory for the reads to come.
func (t *PollTLS) lend() {
	if t.lent != nil || rawInputOffset == 0 {
		return
	}
	raw := bufferAt(t.conn, rawInputOffset)
	if raw.Len() > lentSize/2 {
		return // of the handshake's last read: the tls.Conn has memory enough
	}
	t.lent = NewChunk(lentSize)
	n := copy(t.lent.Bytes, raw.Bytes())
	*raw = *bytes.NewBuffer(t.lent.Bytes[:n])
}

// takeBack takes the memory back after a read that would block.
func (t *PollTLS) takeBack() {
	if t.lent == nil {
		return
	}
	raw := bufferAt(t.conn, rawInputOffset)
	if raw.Len() > mostOwned {
		return
	}
	rest := bytes.Clone(raw.Bytes())
	*raw = *bytes.NewBuffer(rest)
	dropEmpty(t.conn, handOffset)
	t.lent.Release()
	t.lent = nil
}
