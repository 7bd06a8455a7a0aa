package transport

import (
	"errors"
	"io"
	"os"
)

// stepper writes to a socket in steps, one call at a time.
type stepper interface {
	// step writes as much of bufs as the socket takes, at least one byte where there is one, and returns how many it took. It
	// blocks until then; the Stream's end frees it. While it blocks because there is no room it calls Stream.full.
	step(bufs [][]byte) (n int, err error)
	// sendFile is step with up to n bytes from f's position.
	sendFile(f *os.File, n int64) (written int64, err error)
	// retry has a step that blocks try once more, or return what the socket took meanwhile. Any goroutine may call it.
	retry()
}

// Writev implements Conn. It is one step: it blocks until the kernel took at least one byte, not until all is written. So whatever
// depends on progress, be it room in the queue, completions or limits of time, follows the peer closely. With TLS a step is
// one record, because crypto/tls cannot go on after a part of one; Progress counts the bytes of it.
func (s *Stream) Writev(bufs [][]byte) (int, error) {
	if s.below == nil {
		return s.steps.step(bufs)
	}
	p, chunk := join(bufs, maxRecord, maxRecord)
	if chunk != nil {
		defer chunk.Release()
	}
	if len(p) == 0 {
		return 0, nil
	}
	s.below.begin()
	defer s.below.end()
	return s.conn.Write(p)
}

// full announces that a step blocks. It is called during the step.
func (s *Stream) full() {
	if s.below != nil {
		s.below.full()
	} else {
		s.events.Full()
	}
}

// maxRecord is the largest TLS record's payload.
const maxRecord = 16 << 10

// join returns the beginning of bufs as one slice: at most alone bytes of the first one, or the first small bytes of several in a
// chunk of their own, where the first one has less.
func join(bufs [][]byte, small, alone int) ([]byte, *Chunk) {
	for len(bufs) > 0 && len(bufs[0]) == 0 {
		bufs = bufs[1:]
	}
	switch {
	case len(bufs) == 0:
		return nil, nil
	case len(bufs) == 1 || len(bufs[0]) >= small:
		return bufs[0][:min(len(bufs[0]), alone)], nil
	}
	c, n := NewChunk(small), 0
	for _, p := range bufs {
		n += copy(c.Bytes[n:small], p)
	}
	return c.Bytes[:n], c
}

// SendFile implements Conn. It is one step, as Writev.
func (s *Stream) SendFile(f *os.File, n int64) (int64, error) {
	if s.below == nil {
		return s.steps.sendFile(f, n)
	}
	return sendCopy(f, n, s.Writev)
}

// sendCopy reads a piece of a file and writes it. Where less was written, the file's position goes back to there.
func sendCopy(f *os.File, n int64, write func([][]byte) (int, error)) (int64, error) {
	c := NewChunk(int(min(n, maxRecord)))
	defer c.Release()
	got, err := f.Read(c.Bytes[:min(n, int64(len(c.Bytes)))])
	if got == 0 {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	written, err := write([][]byte{c.Bytes[:got]})
	for written < got && err == nil {
		if _, seekErr := f.Seek(int64(written-got), io.SeekCurrent); seekErr == nil {
			break
		}
		var more int // a pipe: what was read must be written
		more, err = write([][]byte{c.Bytes[written:got]})
		written += more
	}
	return int64(written), err
}
