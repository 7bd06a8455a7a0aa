//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package listener

import (
	"crypto/tls"
	"errors"
	"net"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection/transport"
)

var errNoPolling = errors.New("berth: no poll transport on this platform")

// polling does not exist on this platform; the stream transport serves everything.
type polling struct{ streaming }

func newPolling(*server, int, int) (*polling, error) { return nil, errNoPolling }

func pollable(net.Listener) bool { return false }

func (*polling) dispatchers() []actor.Dispatcher { return nil }
func (*polling) close()                          {}

func (*polling) adopt(net.Conn, *tls.Config) (transport.Conn, int, error) {
	return nil, 0, errNoPolling
}
