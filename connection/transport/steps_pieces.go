package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"time"
)

// pieces writes to a net.Conn of which only Write is known, which blocks until all is written. So a step is one Write of a
// piece: a large one as long as the peer takes bytes quickly, a small one where it does not.
//
// That a Write blocks is found by a watch on the time that it takes. Its goroutine exists only while a Write takes longer than
// patience. It is the step's: the step joins it before it returns.
type pieces struct {
	stream *Stream
	size   int // of the next piece

	timer    *time.Timer   // runs watch, patience after the beginning of a Write
	returned chan struct{} // has room for one: the Write under way has returned, and watch had begun
	gone     chan struct{} // has room for one: watch is over

	writing atomic.Bool // a Write is under way
	retried atomic.Bool // by retry: a timeout of the Write is not its end
	deaf    bool        // it cannot be interrupted
}

// Sizes of pieces.
const (
	maxPiece  = 64 << 10
	slowPiece = 4 << 10 // at most, after one that blocked
	minPiece  = 512
)

// patience is how long a Write may take, twice, before it is taken for blocked: a machine that is busy takes its time as well.
const patience = 5 * time.Millisecond

func newPieces(s *Stream) *pieces {
	p := &pieces{
		stream:   s,
		returned: make(chan struct{}, 1), gone: make(chan struct{}, 1),
		// After a timeout a tls.Conn writes no more, and Windows does not say how much of a Write it took before.
		deaf: secured(s.socket) || runtime.GOOS == "windows",
	}
	p.size = p.most()
	return p
}

// most is the size of the largest pieces. A TLS record is written as a whole, and more than one at a time gains nothing.
func (p *pieces) most() int {
	if secured(p.stream.socket) {
		return maxRecord
	}
	return maxPiece
}

// step implements stepper.
func (p *pieces) step(bufs [][]byte) (int, error) {
	piece, chunk := join(bufs, min(p.size, maxRecord), p.size)
	if chunk != nil {
		defer chunk.Release()
	}
	if len(piece) == 0 {
		return 0, nil
	}
	began := time.Now()
	for {
		n, err := p.write(piece)
		switch {
		case err == nil && n < len(piece):
			// A connection that took less than all must say why; where it does not, the next bytes would take the place of
			// those that it left out.
			return n, io.ErrShortWrite
		case err == nil:
			return n, nil
		case !isTimeout(err) || !p.retried.Swap(false) || !p.stream.goesOn():
			return n, err
		case n > 0:
			return n, nil
		case time.Since(began) >= 2*patience: // tries in between begin the watch anew
			p.stream.full()
		}
	}
}

// write is one Write, watched.
func (p *pieces) write(piece []byte) (int, error) {
	if p.timer == nil {
		p.timer = time.AfterFunc(patience, p.watch)
	} else {
		p.timer.Reset(patience)
	}
	p.writing.Store(true)
	n, err := p.stream.socket.Write(piece)
	p.writing.Store(false)
	if p.timer.Stop() {
		if err == nil {
			p.size = min(2*p.size, p.most())
		}
		return n, err
	}
	p.returned <- struct{}{}
	<-p.gone
	select {
	case <-p.returned: // watch did not see it
	default:
	}
	p.size = max(min(p.size/2, slowPiece), minPiece)
	return n, err
}

// watch announces that a Write blocks, unless it returns.
func (p *pieces) watch() {
	more := time.NewTimer(patience)
	defer more.Stop()
	select {
	case <-p.returned:
	case <-more.C:
		p.stream.full()
	}
	p.gone <- struct{}{}
}

// sendFile implements stepper.
func (p *pieces) sendFile(*os.File, int64, int64) (int64, error) { return 0, ErrNotSent }

// retry implements stepper: a past deadline has a Write return with what it took. A deadline that comes after the Write ends the
// next one, so that retried is set once more.
func (p *pieces) retry() {
	if p.deaf || !p.writing.Load() {
		return
	}
	p.retried.Store(true)
	_ = p.stream.socket.SetWriteDeadline(past)
	p.retried.Store(true)
}

// goesOn takes back the past deadline of a retry. False: it was the end's.
func (s *Stream) goesOn() bool {
	if s.ended.Load() {
		return false
	}
	_ = s.socket.SetWriteDeadline(time.Time{})
	return !s.ended.Load()
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
