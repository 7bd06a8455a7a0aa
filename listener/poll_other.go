//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package listener

import (
	"errors"
	"net"
	"os"

	"github.com/asynkron/protoactor-go/actor"
)

var errNoPolling = errors.New("berth: no poll transport on this platform")

// polling does not exist on this platform; the stream transport serves everything.
type polling struct{}

func newPolling(*server) (*polling, error) {
	return nil, errNoPolling
}

func pollable(net.Listener) bool { return false }

func (*polling) dispatchers() []actor.Dispatcher { return nil }
func (*polling) props() *actor.Props             { return nil }
func (*polling) Schedule()                       {}
func (*polling) file() (*os.File, error)         { return nil, errNoPolling }
func (*polling) stop()                           {}
func (*polling) close()                          {}
