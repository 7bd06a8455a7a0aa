package transport

import (
	"errors"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// read reads once.
func read(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, ErrAgain
	}
	if raceEnabled {
		n, err := raceRead(fd, p)
		return n, again(err)
	}
	for {
		n, errno := recvfrom(fd, p)
		if errno != unix.EINTR {
			return result(n, errno)
		}
	}
}

// writev writes as much of bufs as the kernel takes at once. ErrAgain comes with what was written
// before.
func writev(fd int, bufs [][]byte) (int, error) {
	raceRelease(bufs...)
	if len(bufs) == 1 {
		return send(fd, bufs[0])
	}
	var vector [maxVector]unix.Iovec
	count, asked := 0, 0
	for _, p := range bufs[:min(len(bufs), maxVector)] {
		if len(p) > 0 {
			vector[count].Base = &p[0]
			vector[count].SetLen(len(p))
			count++
			asked += len(p)
		}
	}
	if asked == 0 {
		return 0, nil
	}
	message := unix.Msghdr{Iov: &vector[0]}
	message.SetIovlen(count)
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), unix.MSG_NOSIGNAL)
		if errno != unix.EINTR {
			return taken(n, errno, asked)
		}
	}
}

// send is writev for one slice.
func send(fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, errno := sendto(fd, p)
		if errno != unix.EINTR {
			return taken(n, errno, len(p))
		}
	}
}

// taken is result for a write, where less than asked means that the socket's buffer is full.
func taken(n uintptr, errno unix.Errno, asked int) (int, error) {
	written, err := result(n, errno)
	if err == nil && written < asked {
		err = ErrAgain
	}
	return written, err
}

// maxVector is the most slices of one writev; the rest comes with the next.
const maxVector = 64

func result(n uintptr, errno unix.Errno) (int, error) {
	switch errno {
	case 0:
		return int(n), nil
	case unix.EAGAIN:
		return 0, ErrAgain
	default:
		return 0, errno
	}
}

const fionread = unix.SIOCINQ

// sendsFiles says that sendfile exists.
const sendsFiles = true

// sendfile sends as much of a file as the kernel takes at once, at least one byte. Its errors are
// those of Conn's SendFile.
func sendfile(fd int, f *os.File, offset int64, n int) (sent int, err error) {
	raceRelease()
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, &FileError{err}
	}
	closed := raw.Control(func(from uintptr) {
		for {
			at := offset
			if sent, err = unix.Sendfile(fd, int(from), &at, n); !errors.Is(err, unix.EINTR) {
				return
			}
		}
	})
	switch {
	case closed != nil:
		return 0, &FileError{&os.PathError{Op: "sendfile", Path: f.Name(), Err: os.ErrClosed}}
	case errors.Is(err, unix.EAGAIN):
		return 0, ErrAgain
	case err != nil && ofFile(err):
		return 0, ErrNotSent
	case err != nil:
		return 0, err
	case sent == 0:
		return 0, &FileError{io.ErrUnexpectedEOF}
	}
	return sent, nil
}

// ofFile reports whether an error of sendfile is not about the socket: the kernel does not send
// files of this kind, the process may not use the system call, or reading fails, which a read
// reports better.
func ofFile(err error) bool {
	for _, errno := range [...]error{
		unix.EINVAL, unix.ENOSYS, unix.ESPIPE, unix.EOPNOTSUPP, unix.EOVERFLOW, unix.EPERM, unix.EACCES, unix.EBADF, unix.EIO, unix.EISDIR, unix.ENXIO,
	} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
