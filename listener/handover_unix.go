//go:build unix && !aix

package listener

import (
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/go-berth/berth/connection/transport"
)

// duplicate returns another descriptor of l's socket. Accept can still be called back from l; see
// transport.Duplicate.
func duplicate(l net.Listener) (*os.File, error) {
	socket, ok := l.(syscall.Conn)
	if !ok {
		return nil, fmt.Errorf("berth: a %T has no descriptor to hand over", l)
	}
	fd, err := transport.Duplicate(socket)
	if err != nil {
		return nil, fmt.Errorf("berth: %w", err)
	}
	return os.NewFile(uintptr(fd), l.Addr().String()), nil
}
