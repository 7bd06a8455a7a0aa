//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package connection

import "time"

// blockingReads cannot be called back.
type blockingReads struct{ *fileWrite }

func readsThatBlock(f *fileWrite) (reads, error) { return blockingReads{f}, nil }

func (blockingReads) arm(time.Duration) {}

func (r blockingReads) read(p []byte, offset int64) (int, error) {
	if r.kind == streamFile {
		return r.Read(p)
	}
	return r.ReadAt(p, offset)
}

func (blockingReads) interrupt() bool { return false }
func (blockingReads) close()          {}
