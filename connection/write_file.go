package connection

import (
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/seam"
)

// fileWrite is a part of a file, which an entry has instead of data. The kernel sends it if it can;
// else a source copies it.
type fileWrite struct {
	*os.File
	offset int64 // of what is left
	kind   transport.FileKind
	source *source // once the file is copied
}

// WriteFile implements protocol.Socket.
func (c *Connection) WriteFile(f *os.File, offset, n int64, done func(error)) error {
	kind, err := checkFile(f, offset, n)
	if err != nil {
		return err
	}
	crossed, err := c.acquire(c.slow(), 0, 0)
	if err != nil {
		return c.unaccepted(int(min(n, math.MaxInt)), err, done)
	}
	e := newEntry()
	e.done = done
	r := e.makeRest()
	r.file, r.left = &fileWrite{File: f, offset: offset, kind: kind}, n
	c.post(e, crossed)
	return nil
}

// checkFile returns one sentence about a file that cannot be sent, as far as that is known before
// it is read.
func checkFile(f *os.File, offset, n int64) (transport.FileKind, error) {
	switch {
	case n < 0:
		return 0, fmt.Errorf("berth: cannot write %d bytes of a file: %w", n, os.ErrInvalid)
	case offset < 0:
		return 0, fmt.Errorf("berth: cannot write a file from offset %d: %w", offset, os.ErrInvalid)
	case offset > math.MaxInt64-n:
		return 0, fmt.Errorf("berth: cannot write %d bytes of a file from offset %d: %w", n, offset, os.ErrInvalid)
	case f == nil || *f == (os.File{}): // and Stat panics for a File that was never opened
		return 0, fmt.Errorf("berth: no file to write: %w", os.ErrInvalid)
	}
	info, err := f.Stat()
	if err != nil {
		return 0, fmt.Errorf("berth: cannot write a file: %w", err)
	}
	kind := transport.KindOf(info)
	switch {
	case info.IsDir():
		return 0, fmt.Errorf("berth: cannot write the directory %s: %w", f.Name(), os.ErrInvalid)
	case kind == transport.StreamFile && offset > 0:
		return 0, fmt.Errorf("berth: cannot write %s from offset %d: it is read from where it stands: %w", f.Name(), offset, os.ErrInvalid)
	}
	return kind, nil
}

// errNoPiece says that the bytes of a file are not there yet.
var errNoPiece = errors.New("berth: no piece of the file yet")

// writeFile makes one system call for the file that is first in the queue. Its errors are those of
// Writev, *transport.FileError and errNoPiece.
func (w *writer) writeFile(e *entry) (int, error) {
	f := e.file()
	if f.source == nil && f.kind == transport.SentFile {
		n, err := w.c.conn().SendFile(f.File, f.offset, min(e.left(), maxBatch))
		f.offset += n
		if err != transport.ErrNotSent {
			return int(n), err
		}
	}
	if f.source == nil {
		w.askFile()
		f.source = newSource(f, e.left(), func() { w.order(orderWritable) })
	}
	piece, err := f.source.piece()
	if !errors.Is(err, errNoPiece) {
		w.orders.And(^starved)
	}
	if err != nil {
		return 0, err
	}
	n, err := w.c.conn().Writev([][]byte{piece})
	if f.source.wrote(n) {
		w.askFile()
		f.source.ask()
	}
	return n, err
}

// askFile notes the time. From then on the writer waits for the file.
func (w *writer) askFile() { w.c.makeRare().fileAsked.Store(int64(w.c.shared.now())) }

// starve notes that the file that is first in the queue has not given the next piece yet.
func (w *writer) starve() {
	if w.orders.Or(blocked|starved)&starved == 0 {
		w.c.writerNews()
	}
}

// fileSilence returns how long the writer has been waiting for the file. Any goroutine may call it
// while starved is set.
func (c *Connection) fileSilence() time.Duration {
	return c.shared.now() - time.Duration(c.makeRare().fileAsked.Load())
}

// awaitFile waits for a change at the file that is first in the queue, but not for longer than it
// may be silent.
func (c *Connection) awaitFile(made, news <-chan struct{}) {
	timer := time.NewTimer(silence - c.fileSilence())
	defer timer.Stop()
	wait := seam.Wait()
	select {
	case <-made:
	case <-news:
	case <-timer.C:
	}
	wait.Over()
}

// failFile ends the write of the file that is first in the queue, with an error of the file. The
// connection goes on: the bytes that the file had are written, the rest is counted as unsent.
func (w *writer) failFile(err error) {
	w.c.makeRare().missing.Add(uint64(w.queue.first.left()))
	w.settle(gone{entries: 1, writes: 1}, err)
}

func isFileError(err error) bool {
	_, ok := errors.AsType[*transport.FileError](err)
	return ok
}

// end gives the file back: it is not read any more.
func (f *fileWrite) end() {
	if f.source != nil {
		f.source.end()
	}
}
