//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package transport

import (
	"os"
	"time"
)

// blockingReads cannot be called back.
type blockingReads struct {
	file *os.File
	kind FileKind
}

func readsThatBlock(f *os.File, kind FileKind) (FileReads, error) { return blockingReads{f, kind}, nil }

func (blockingReads) Arm(time.Duration) {}

func (r blockingReads) Read(p []byte, offset int64) (int, error) {
	if r.kind == StreamFile {
		return r.file.Read(p)
	}
	return r.file.ReadAt(p, offset)
}

func (blockingReads) Interrupt() bool { return false }
func (blockingReads) Close()          {}
