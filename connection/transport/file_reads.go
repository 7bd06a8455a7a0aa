package transport

import (
	"io/fs"
	"os"
	"time"
)

// FileKind says how a file is read.
type FileKind uint8

const (
	// SentFile is a regular file, or a block device: SendFile may send it.
	SentFile FileKind = iota
	// ReadFile says that it is empty, as files of /proc do. It is read from an offset, perhaps for
	// long.
	ReadFile
	// StreamFile is a pipe, a socket or a terminal. It is read from where it stands, perhaps for
	// long.
	StreamFile
)

// KindOf returns the kind of a file that is no directory.
func KindOf(info fs.FileInfo) FileKind {
	switch mode := info.Mode(); {
	case mode.IsRegular() && info.Size() > 0, mode.Type() == fs.ModeDevice:
		return SentFile
	case mode.IsRegular():
		return ReadFile
	}
	return StreamFile
}

// FileReads reads a file so that another goroutine can call the read back. One goroutine calls Arm
// and Read, another one Interrupt, and Close once the first has ended.
type FileReads interface {
	// Arm bounds the next Read; 0 is no bound. It takes back what earlier calls of Interrupt did.
	Arm(within time.Duration)
	// Read reads once; of a StreamFile the offset has no meaning. It fails with
	// os.ErrDeadlineExceeded where the time of Arm is over, or after Interrupt.
	Read(p []byte, offset int64) (int, error)
	// Interrupt calls a Read back. It returns false if that cannot be done; then the Read goes on
	// until it has something.
	Interrupt() bool
	// Close restores the state of the file.
	Close()
}

// NewFileReads returns the FileReads for f.
func NewFileReads(f *os.File, kind FileKind) (FileReads, error) {
	switch {
	case kind == SentFile:
		return plainReads{f}, nil
	case kind == StreamFile && f.SetReadDeadline(time.Time{}) == nil:
		return deadlineReads{f}, nil
	}
	return readsThatBlock(f, kind)
}

// plainReads read a file that always has its bytes, or its end. There is nothing to call back.
type plainReads struct{ file *os.File }

func (plainReads) Arm(time.Duration)                          {}
func (r plainReads) Read(p []byte, offset int64) (int, error) { return r.file.ReadAt(p, offset) }
func (plainReads) Interrupt() bool                            { return true }
func (plainReads) Close()                                     {}

// deadlineReads read a file for which the runtime waits, as a pipe. A past deadline calls them
// back.
type deadlineReads struct{ file *os.File }

func (r deadlineReads) Arm(within time.Duration) {
	deadline := time.Time{}
	if within > 0 {
		deadline = time.Now().Add(within)
	}
	_ = r.file.SetReadDeadline(deadline)
}

func (r deadlineReads) Read(p []byte, _ int64) (int, error) { return r.file.Read(p) }
func (r deadlineReads) Interrupt() bool                     { return r.file.SetReadDeadline(past) == nil }
func (r deadlineReads) Close()                              { _ = r.file.SetReadDeadline(time.Time{}) }
