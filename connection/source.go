package connection

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/seam"
)

// source reads a file that the kernel cannot send by itself, one piece ahead of the writer. A read
// may take for ever, as from a silent pipe, and must hold up neither a close nor an abort. So it
// runs on a goroutine of its own, the reader. The writer starts the reader once the file is first
// in its queue. end stops and joins it before the write completes: from then on the file is the
// caller's again.
type source struct {
	file    *fileWrite
	offset  int64 // of the next read
	left    int64 // to be read
	reads   transport.FileReads
	ready   func()        // tells the writer that there is a piece, or an error
	turn    chan struct{} // has room for one: the writer has written the piece
	stopped chan struct{} // closed by end
	gone    chan struct{} // closed when the reader has ended
	hurried atomic.Bool   // the connection is to close

	// The reader's answer. Written before answered is set, read after it was seen set.
	answered atomic.Bool
	chunk    *transport.Chunk
	bytes    []byte // of chunk: what is not written yet
	err      error  // the error behind bytes
}

// maxPiece is the most that is read ahead, in bytes: what a pipe holds.
const maxPiece = 64 << 10

// silence is how long a file may give nothing while it holds up a close, or a write for which there
// is no room behind it.
const silence = 100 * time.Millisecond

// errSilent is the error of a write after its file gave nothing for that long.
var errSilent = errors.New("berth: the file was silent while the connection was to close")

func newSource(f *fileWrite, left int64, ready func()) *source {
	s := &source{
		file: f, offset: f.offset, left: left, ready: ready,
		turn: make(chan struct{}, 1), stopped: make(chan struct{}), gone: make(chan struct{}),
		chunk: transport.NewChunk(int(min(left, maxPiece))),
	}
	if s.reads, s.err = transport.NewFileReads(f.File, f.kind); s.err != nil {
		s.answered.Store(true)
		close(s.gone)
		return s
	}
	seam.Go(s.run)
	return s
}

// run is the reader.
func (s *source) run() {
	defer close(s.gone)
	for s.next() {
		s.answered.Store(true)
		s.ready()
		wait := seam.Wait()
		select {
		case <-s.turn:
			wait.Over()
		case <-s.stopped:
			wait.Over()
			return
		}
	}
}

// next reads a piece, or finds out why there is none. It returns false if the source has ended.
func (s *source) next() bool {
	for {
		within := time.Duration(0)
		if s.hurried.Load() {
			within = silence
		}
		s.reads.Arm(within)
		if s.ended() { // also if end came before Arm, which took the interruption back
			return false
		}
		if within == 0 && s.hurried.Load() {
			continue
		}
		began := time.Now()
		n, err := s.reads.Read(s.chunk.Bytes[:min(s.left, int64(len(s.chunk.Bytes)))], s.offset)
		switch {
		case n > 0:
			s.offset += int64(n)
			s.left -= int64(n)
			s.bytes = s.chunk.Bytes[:n]
			return true // an error comes again
		case s.ended():
			return false
		case errors.Is(err, os.ErrDeadlineExceeded) && s.hurried.Load():
			if within > 0 && time.Since(began) >= within { // else it was called back
				s.err = errSilent
				return true
			}
		case errors.Is(err, io.EOF):
			s.err = io.ErrUnexpectedEOF
			return true
		case err != nil:
			s.err = err
			return true
		}
	}
}

func (s *source) ended() bool {
	select {
	case <-s.stopped:
		return true
	default:
		return false
	}
}

// The rest is the writer's.

// piece returns the bytes to be written next. errNoPiece means that they are not there yet, and
// ready will be called. A *transport.FileError means that nothing more comes.
func (s *source) piece() ([]byte, error) {
	switch {
	case !s.answered.Load():
		return nil, errNoPiece
	case len(s.bytes) == 0:
		return nil, &transport.FileError{Err: s.err}
	}
	return s.bytes, nil
}

// wrote notes that the first n bytes of the piece were written. It returns true if the next piece
// is to be asked for.
func (s *source) wrote(n int) (next bool) {
	s.bytes = s.bytes[n:]
	return len(s.bytes) == 0 && s.left > 0
}

// ask asks for the next piece.
func (s *source) ask() {
	s.answered.Store(false)
	s.turn <- struct{}{}
}

// hurry bounds how long the file may be silent: the connection is to close.
func (s *source) hurry() {
	if !s.hurried.Swap(true) && s.reads != nil {
		s.reads.Interrupt()
	}
}

// end stops and joins the reader.
func (s *source) end() {
	close(s.stopped)
	if s.reads != nil {
		if !s.reads.Interrupt() {
			select {
			case <-s.gone:
			default:
				return // the reader ends with its read; the memory that it reads into is its own
			}
		}
		wait := seam.Wait()
		<-s.gone
		wait.Over()
		s.reads.Close()
	}
	s.chunk.Release()
}
