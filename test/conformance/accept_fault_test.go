package conformance

import (
	"net"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/listener"
)

// scarce is a listener whose first accepts fail.
type scarce struct {
	net.Listener
	failures atomic.Int32
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return s.Listener.Accept()
}

func TestOneEMFILEKillsTheServerForGood(t *testing.T) {
	w := &world{t: t, network: networks[0], system: shared}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	failing := &scarce{Listener: inner}
	failing.failures.Store(3)
	s := &server{w: w, accepted: make(chan *tape, 8)}
	s.Listener, err = listener.Serve(w.system.Root, failing, handlersDoor(s, script{}), listener.Options{})
	require.NoError(t, err)
	w.servers = append(w.servers, s)
	defer w.end()
	s.dial = func() (net.Conn, error) { return net.Dial("tcp", inner.Addr().String()) }
	p, tape := s.connect()
	p.send("still here")
	tape.sees("still here")
	assert.Equal(t, uint64(3), s.Info().AcceptErrors)
}
