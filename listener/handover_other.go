//go:build !unix || aix

package listener

import (
	"errors"
	"net"
	"os"
	"runtime"
)

// errNoHandover is the answer of platforms whose sockets do not pass through an exec.
var errNoHandover = errors.New("berth: a listening socket cannot be handed to another process on " + runtime.GOOS)

func duplicate(net.Listener) (*os.File, error) { return nil, errNoHandover }
