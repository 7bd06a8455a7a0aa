package connection

import (
	"os"
	"time"
)

// plainReads are of a file that always has its bytes, or its end: there is nothing to call back.
type plainReads struct{ *os.File }

func (plainReads) arm(time.Duration)                          {}
func (r plainReads) read(p []byte, offset int64) (int, error) { return r.ReadAt(p, offset) }
func (plainReads) interrupt() bool                            { return true }
func (plainReads) close()                                     {}

// deadlineReads are of a file for which the runtime waits, as a pipe: a past deadline calls them back.
type deadlineReads struct{ *os.File }

func (r deadlineReads) arm(within time.Duration) {
	deadline := time.Time{}
	if within > 0 {
		deadline = time.Now().Add(within)
	}
	_ = r.SetReadDeadline(deadline)
}

func (r deadlineReads) read(p []byte, _ int64) (int, error) { return r.Read(p) }
func (r deadlineReads) interrupt() bool                     { return r.SetReadDeadline(past) == nil }
func (r deadlineReads) close()                              { _ = r.SetReadDeadline(time.Time{}) }

var past = time.Unix(1, 0)

// readsOf returns how to read f.
func readsOf(f *fileWrite) (reads, error) {
	switch {
	case f.kind == sentFile:
		return plainReads{f.File}, nil
	case f.kind == streamFile && f.SetReadDeadline(time.Time{}) == nil:
		return deadlineReads{f.File}, nil
	}
	return readsThatBlock(f)
}
