//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// output is the queue of ciphertext that the socket has not taken. It holds the records of one
// Writev at most, besides answers to the peer's KeyUpdates, and alerts.
//
// The connection's turn, the writer's and the handshake's goroutine put records into it: a tls.Conn
// lets one of them write at a time. Each of them writes the queue to the socket, and so does the
// goroutine that announces room.
type output struct {
	queued atomic.Int32 // bytes in the queue; written under mu

	mu         sync.Mutex // held during system calls, which do not wait
	chunk      *Chunk     // nil: the queue is empty
	start, end int        // of the queue in the chunk
	err        error      // of the socket, for every later write
	waits      bool       // the writer waits for room
	clogged    bool       // reading waits until the queue is empty

	owed int // the writer's turn only: bytes that were encrypted, and are not reported as written yet
}

// mostQueued is the number of queued bytes beyond which nothing is read: the peer asks for answers
// and does not read them.
const mostQueued = 64 << 10

// crowded reports whether nothing is to be read. Then Events.Readable is called once the queue is
// empty.
func (o *output) crowded() bool {
	if o.queued.Load() <= mostQueued {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.clogged = o.chunk != nil && o.end-o.start > mostQueued
	return o.clogged
}

func (o *output) add(p []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return
	}
	if o.chunk == nil {
		o.chunk, o.start, o.end = NewChunk(len(p)), 0, 0
	}
	if o.end+len(p) > len(o.chunk.Bytes) {
		larger := NewChunk(o.end - o.start + len(p))
		o.end, o.start = copy(larger.Bytes, o.chunk.Bytes[o.start:o.end]), 0
		o.chunk.Release()
		o.chunk = larger
	}
	o.end += copy(o.chunk.Bytes[o.end:], p)
	o.queued.Store(int32(o.end - o.start))
}

// prepare makes room for n bytes if the queue is empty.
func (o *output) prepare(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.chunk == nil && o.err == nil {
		o.chunk, o.start, o.end = NewChunk(n), 0, 0
	}
}

func (o *output) drop() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropLocked()
}

func (o *output) dropLocked() {
	if o.chunk != nil {
		o.chunk.Release()
		o.chunk, o.start, o.end = nil, 0, 0
		o.queued.Store(0)
	}
}

// flush writes the queue. It returns ErrAgain if the socket does not take all of it; then the rest
// is written once there is room. writer says that the writer waits for it.
func (t *PollTLS) flush(writer bool) error {
	o := &t.out
	o.mu.Lock()
	err := t.flushLocked()
	writes, reads := false, false
	if !errors.Is(err, ErrAgain) {
		writes, reads = o.waits && !writer, o.clogged
		o.waits, o.clogged = false, false
	} else if writer {
		o.waits = true
	}
	o.mu.Unlock()
	if writes { // this call took the room that the writer waits for
		t.events.Writable()
	}
	if reads {
		t.events.Readable(false)
	}
	return err
}

func (t *PollTLS) flushLocked() error {
	o := &t.out
	if o.err != nil {
		return o.err
	}
	for o.start < o.end {
		one := [1][]byte{o.chunk.Bytes[o.start:o.end]}
		n, err := t.Poll.Writev(one[:])
		t.went.Add(uint64(n))
		o.start += n
		o.queued.Store(int32(o.end - o.start))
		if errors.Is(err, ErrAgain) {
			return err
		}
		if err != nil {
			o.err = err
			break
		}
	}
	o.dropLocked()
	return o.err
}

// Writable implements Events: Poll calls it. The writer goes on by itself; what no writer waits for
// is written here.
func (t *PollTLS) Writable() {
	t.out.mu.Lock()
	waits := t.out.waits
	t.out.waits = false
	t.out.mu.Unlock()
	if waits {
		t.events.Writable()
	} else {
		_ = t.flush(false)
	}
}

// mostPlain is the most bytes that one Writev encrypts. With the records' own bytes they fit a
// chunk of 16 KiB, also in the small records with which a tls.Conn begins.
const mostPlain = 16<<10 - recordsOwn

// recordsOwn is room for the bytes that TLS adds to the records of one Writev.
const recordsOwn = 512

// Writev implements Conn. It encrypts the first bytes of bufs and reports them as written once the
// kernel has taken all of their records: until then it returns ErrAgain, and expects the same bytes
// again. Progress counts the bytes meanwhile.
func (t *PollTLS) Writev(bufs [][]byte) (int, error) {
	if err := t.flush(true); err != nil {
		return 0, err
	}
	if n := t.out.owed; n > 0 {
		t.out.owed = 0
		return n, nil
	}
	p, chunk := join(bufs, mostPlain)
	if len(p) == 0 {
		return 0, nil
	}
	t.out.prepare(len(p) + min(recordsOwn, 64+len(p)/16))
	n, err := t.conn.Write(p)
	if chunk != nil {
		chunk.Release()
	}
	if err != nil {
		return 0, err
	}
	if err = t.flush(true); err != nil {
		t.out.owed = n
		return 0, err
	}
	return n, nil
}

// SendFile implements Conn.
func (t *PollTLS) SendFile(*os.File, int64, int64) (int64, error) { return 0, ErrNotSent }

// CloseWrite implements Conn: close_notify, and the FIN at once after it.
func (t *PollTLS) CloseWrite() error {
	if err := t.CloseNotify(); err != nil {
		return err
	}
	return t.Poll.CloseWrite()
}

// CloseNotify implements Conn. A second call says nothing again, and writes what is left of the
// first.
func (t *PollTLS) CloseNotify() error {
	if err := t.conn.CloseWrite(); err != nil {
		return err
	}
	return t.flush(true)
}

// Write implements net.Conn: it takes all of p.
func (b *belowTLS) Write(p []byte) (int, error) {
	t := (*PollTLS)(b)
	t.out.add(p)
	if t.shakes.Load() == nil {
		return len(p), nil // the caller of the tls.Conn writes the queue
	}
	if err := t.flush(false); err != nil && !errors.Is(err, ErrAgain) {
		return 0, err
	}
	return len(p), nil
}

// SetDeadline implements net.Conn: the limits of time are the connection's.
func (b *belowTLS) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.Conn.
func (b *belowTLS) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.Conn.
func (b *belowTLS) SetWriteDeadline(time.Time) error { return nil }
