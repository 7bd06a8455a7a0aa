package transport

import "os"

// stepper writes to a socket in steps, one call at a time.
type stepper interface {
	// step writes as much of bufs as the socket takes, at least one byte where there is one, and
	// returns how many it took. It blocks until then; the Stream's end frees it. While it blocks
	// because there is no room it calls Stream.full.
	step(bufs [][]byte) (n int, err error)
	// sendFile is step with up to n bytes of f from offset. It returns the errors of Conn's
	// SendFile.
	sendFile(f *os.File, offset, n int64) (written int64, err error)
	// retry makes a step that blocks try once more, or return what the socket took meanwhile; see
	// Conn.Retry. Any goroutine may call it.
	retry(last bool)
}

// Writev implements Conn. It is one step: it blocks until the kernel took at least one byte, not
// until all is written. So everything that depends on progress (room in the queue, completions,
// limits of time) follows the peer closely. With TLS a step is one record, because crypto/tls
// cannot go on after a part of one; Progress counts the bytes of it.
func (s *Stream) Writev(bufs [][]byte) (int, error) {
	b := s.below.Load()
	if b == nil {
		return s.steps.step(bufs)
	}
	p, chunk := join(bufs, maxRecord)
	if chunk != nil {
		defer chunk.Release()
	}
	if len(p) == 0 {
		return 0, nil
	}
	b.begin()
	defer b.end()
	return s.conn.Write(p)
}

// full announces that a step blocks. It is called during the step.
func (s *Stream) full() {
	if b := s.below.Load(); b != nil {
		b.full()
	} else {
		s.events.Full()
	}
}

// maxRecord is the largest TLS record's payload.
const maxRecord = 16 << 10

// join returns the first bytes of bufs, at most size, as one slice. Where they are in several, it
// is in a chunk of its own.
func join(bufs [][]byte, size int) ([]byte, *Chunk) {
	for len(bufs) > 0 && len(bufs[0]) == 0 {
		bufs = bufs[1:]
	}
	switch {
	case len(bufs) == 0:
		return nil, nil
	case len(bufs) == 1 || len(bufs[0]) >= size:
		return bufs[0][:min(len(bufs[0]), size)], nil
	}
	c, n := NewChunk(size), 0
	for _, p := range bufs {
		n += copy(c.Bytes[n:size], p)
	}
	return c.Bytes[:n], c
}

// SendFile implements Conn. It is one step, as Writev.
func (s *Stream) SendFile(f *os.File, offset, n int64) (int64, error) {
	if s.below.Load() != nil {
		return 0, ErrNotSent
	}
	return s.steps.sendFile(f, offset, n)
}
