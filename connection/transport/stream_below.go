package transport

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// below is the connection below TLS. It counts the bytes that move inside the calls of a tls.Conn,
// and keeps limits of time away from it: a tls.Conn that could not write the whole of a record
// writes no more.
//
// A tls.Conn writes on the writer's goroutine, and now and then on the reader's: the handshake, an
// answer to a KeyUpdate, an alert. Its lock lets one of them write at a time.
type below struct {
	net.Conn // read only; the Conn below is the stepper's
	stream   *Stream
	tls      *tls.Conn     // over it; set before over
	over     atomic.Bool   // the handshake is over, without an error
	read     atomic.Uint64 // bytes
	written  atomic.Uint64
	one      [1][]byte // of the Write under way

	mu      sync.Mutex // held during Events.Full, which so comes before the end of the Writev; no code of the user's runs there
	writing bool       // a Writev is under way
	blocked bool       // a Write waits for room
}

// Read implements net.Conn.
func (b *below) Read(p []byte) (int, error) {
	n, err := b.Conn.Read(p)
	b.read.Add(uint64(n))
	return n, err
}

// Write implements net.Conn: it writes the whole of p, step by step.
func (b *below) Write(p []byte) (written int, err error) {
	for written < len(p) && err == nil {
		var n int
		b.one[0] = p[written:]
		n, err = b.stream.steps.step(b.one[:])
		b.one[0] = nil
		written += n
		b.written.Add(uint64(n))
		b.unblocked()
	}
	return written, err
}

// begin is called before a Writev. If TLS writes for another reason at the moment, and waits, the
// Writev waits as well.
func (b *below) begin() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = true
	if b.blocked {
		b.stream.events.Full()
	}
}

// end is called after a Writev.
func (b *below) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.writing = false
}

func (b *below) full() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocked = true
	if b.writing {
		b.stream.events.Full()
	}
}

func (b *below) unblocked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.blocked = false
}

// CloseWrite sends the FIN that follows close_notify.
func (b *below) CloseWrite() error { return closeWrite(b.stream.socket) }

// SetDeadline implements net.Conn: the limits of time are the connection's.
func (b *below) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (b *below) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn. A tls.Conn sets one of 5 s for its close_notify, where
// CloseTimeout counts.
func (b *below) SetWriteDeadline(time.Time) error { return nil }
