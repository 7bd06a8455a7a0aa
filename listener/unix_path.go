package listener

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// This file binds the path of a unix socket, and removes it.

// boundPath is the path of a listening unix socket, and the file that was there when the socket was
// bound. The socket keeps the file in use, also after its removal, so no other file has the same
// number meanwhile. The zero value is that of a socket without a path.
type boundPath struct {
	name string
	file fileID
}

// fileID tells files apart. The zero value is none.
type fileID struct {
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
}

// boundPathOf returns the path of l. file is what the process before this one passed on. Zero means
// that it passed nothing on, and the file is the one that is there now.
func boundPathOf(l net.Listener, file fileID) boundPath {
	local, ok := l.(*net.UnixListener)
	if !ok {
		return boundPath{}
	}
	name := local.Addr().String()
	if !isPath(name) {
		return boundPath{}
	}
	if file == (fileID{}) {
		file = fileAt(name)
	}
	return boundPath{name, file}
}

// isPath reports that the address of a unix socket is a path. One that begins with @ is Linux's
// abstract name, which no file has.
func isPath(addr string) bool { return addr != "" && addr[0] != '@' && addr[0] != 0 }

// ours reports that the path still leads to the socket. Only then may its close remove the path.
func (p boundPath) ours() bool {
	if p.name == "" || !filesHaveIDs {
		return true
	}
	return p.file != fileID{} && fileAt(p.name) == p.file
}

// lock keeps other listeners from binding or removing the path until unlock.
func (p boundPath) lock() (unlock func()) {
	if p.name == "" {
		return func() {}
	}
	unlock, _ = lockDirectory(filepath.Dir(p.name))
	return unlock
}

// bindPath listens on a path. A path that a killed process left is taken over. listen is called
// under the lock of the directory. So no other listener of Berth's looks at the path between its
// bind and its listen, when the kernel already refuses clients there.
func bindPath(path string, listen func() (net.Listener, error)) (net.Listener, error) {
	unlock, locked := lockDirectory(filepath.Dir(path))
	defer unlock()
	l, err := listen()
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	switch info, problem := os.Lstat(path); {
	case problem != nil:
		return nil, err
	case info.Mode().Type() != os.ModeSocket:
		return nil, fmt.Errorf("%w: there is %s", err, kindOf(info.Mode()))
	case !locked || !forsaken(path):
		return nil, err
	case os.Remove(path) != nil:
		return nil, err
	}
	return listen()
}

func kindOf(mode os.FileMode) string {
	switch mode.Type() {
	case os.ModeDir:
		return "a directory"
	case os.ModeSymlink:
		return "a symbolic link"
	default:
		return "a file that is no socket"
	}
}

// checkAddr returns what is wrong with the address of Listen; nil leaves the rest to the bind. To
// package net an address without a port means any free port. If a variable was not set, a server
// would then run where no client looks for it.
func checkAddr(network, addr string) error {
	if network == "unix" {
		return checkPath(addr)
	}
	if addr == "" {
		return errNoAddress
	}
	if strings.ContainsAny(addr, "/@") {
		return fmt.Errorf("berth: the address %q is none of TCP: for a unix socket, the option Network is \"unix\"", addr)
	}
	if _, port, err := net.SplitHostPort(addr); err == nil && port == "" {
		return fmt.Errorf("berth: the address %q has no port; port 0 is any free one", addr)
	}
	return nil
}

var errNoAddress = errors.New(`berth: the address is empty: give "host:port", or ":port" for all ` +
	`interfaces; port 0 is any free one`)

func checkPath(path string) error {
	most := len(syscall.RawSockaddrUnix{}.Path)
	if isPath(path) || runtime.GOOS != "linux" {
		most-- // it ends with a zero byte
	}
	switch {
	case path == "":
		return errors.New("berth: the address is empty: give the path of the unix socket")
	case len(path) > most:
		return fmt.Errorf("berth: the unix path %q has %d bytes; the most is %d", path, len(path), most)
	}
	return nil
}
