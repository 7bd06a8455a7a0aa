package transport

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/go-berth/berth/internal/seam"
)

// pieces writes to a net.Conn of which only Write is known, which blocks until all is written. So a
// step is one Write of a piece: a large one as long as the peer takes bytes quickly, a small one
// where it does not.
//
// After a past write deadline most connections return how much they took of a piece. Not all can go
// on after it: a tls.Conn, also one inside a connection of the user's, writes no more. So a Write
// is interrupted for every look at its progress only where the connection says that it resumes, and
// elsewhere only where the connection would be ended otherwise.
//
// That a Write blocks is found by a watch on the time that it takes. Its goroutine exists only
// while a Write takes longer than patience. It is the step's: the step joins it before it returns.
type pieces struct {
	stream  *Stream
	size    int  // of the next piece
	resumes bool // after a deadline the next Write goes on
	deaf    bool // a deadline must not come

	timer    *time.Timer   // runs watch, patience after the beginning of a Write
	patience time.Duration // it grows while nothing is taken
	returned chan struct{} // has room for one: the Write under way has returned, and watch had begun
	gone     chan struct{} // has room for one: watch is over

	writing     atomic.Bool // a Write is under way
	interrupted atomic.Bool // a timeout of the Write is not its end
}

// resumer is a net.Conn that can go on after a write deadline. Its Write returns how many bytes it
// took, all of these go out, and the next Write goes on behind them.
type resumer interface{ ResumesWrites() bool }

// Sizes of pieces.
const (
	maxPiece  = maxRecord // it may be a record: not even a part of one counts before the whole of it is written
	slowPiece = 4 << 10   // at most, after one that blocked
	minPiece  = 512
)

// patience is how long a Write may take, twice, before it counts as blocked: a Write is slow on a
// busy machine too.
const (
	patience     = 5 * time.Millisecond
	mostPatience = 40 * time.Millisecond
)

func newPieces(s *Stream) *pieces {
	p := &pieces{
		stream:   s,
		returned: make(chan struct{}, 1), gone: make(chan struct{}, 1),
		// Windows does not say how much of a Write it took before a deadline.
		deaf: secured(s.socket) || runtime.GOOS == "windows",
	}
	r, ok := s.socket.(resumer)
	p.resumes = ok && r.ResumesWrites()
	p.size = maxPiece
	return p
}

// step implements stepper.
func (p *pieces) step(bufs [][]byte) (int, error) {
	piece, chunk := join(bufs, p.size)
	if chunk != nil {
		defer chunk.Release()
	}
	if len(piece) == 0 {
		return 0, nil
	}
	var since time.Time // when nothing had been taken for the first time
	for p.patience = patience; ; p.patience = min(2*p.patience, mostPatience) {
		n, err := p.write(piece)
		switch {
		case err == nil && n < len(piece):
			// A connection that took less than all must say why; where it does not, the next bytes
			// would take the place of those that it left out.
			return n, io.ErrShortWrite
		case err == nil:
			return n, nil
		case !isTimeout(err) || !p.interrupted.Swap(false) || !p.stream.goesOn():
			return n, err
		case n > 0:
			return n, nil
		case since.IsZero():
			since = time.Now()
		case time.Since(since) >= 2*patience: // retries begin the watch anew
			p.stream.full()
		}
	}
}

// write is one Write, watched.
func (p *pieces) write(piece []byte) (int, error) {
	if p.timer == nil {
		p.timer = seam.AfterFunc(p.patience, p.watch)
	} else {
		p.timer.Reset(p.patience)
	}
	p.writing.Store(true)
	n, err := p.stream.socket.Write(piece)
	p.writing.Store(false)
	if p.timer.Stop() {
		if err == nil {
			p.size = min(2*p.size, maxPiece)
		}
		return n, err
	}
	p.returned <- struct{}{}
	wait := seam.Wait()
	<-p.gone
	wait.Over()
	select {
	case <-p.returned: // watch did not see it
	default:
	}
	p.size = max(min(p.size/2, slowPiece), minPiece)
	return n, err
}

// watch announces that a Write blocks, unless it returns.
func (p *pieces) watch() {
	more := time.NewTimer(p.patience)
	defer more.Stop()
	wait := seam.Wait()
	select {
	case <-p.returned:
		wait.Over()
	case <-more.C:
		wait.Over()
		p.stream.full()
		if p.resumes {
			p.interrupt()
		}
	}
	p.gone <- struct{}{}
}

// sendFile implements stepper.
func (p *pieces) sendFile(*os.File, int64, int64) (int64, error) { return 0, ErrNotSent }

// retry implements stepper. One that resumes is interrupted often enough by the watch.
func (p *pieces) retry(last bool) {
	if last && !p.deaf && p.writing.Load() {
		p.interrupt()
	}
}

// interrupt makes a Write return with the number of bytes that it took. A deadline that comes after
// the Write ends the next one. So interrupted is set before and after.
func (p *pieces) interrupt() {
	p.interrupted.Store(true)
	_ = p.stream.socket.SetWriteDeadline(past)
	p.interrupted.Store(true)
}

// goesOn takes back the past deadline of an interruption. It returns false if the deadline came
// from the end.
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
