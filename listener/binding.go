package listener

import (
	"errors"
	"net"
	"runtime"
	"sync/atomic"
)

// This file opens listening sockets while the listener runs.

// bindNow opens a listening socket in place of one that was closed. The user's Control is a
// callback like others: the end of the listener does not wait for it for long.
func (s *server) bindNow() (net.Listener, error) {
	if s.options().ListenConfig.Control == nil {
		return s.bind()
	}
	b := &binding{bound: make(chan bound, 1)}
	switch failure := s.call(func() { s.bindFor(b) }); {
	case failure == nil:
		result := <-b.bound
		return result.listener, result.err
	case errors.Is(failure, errAbsent):
		b.abandon()
		return nil, failure
	case errors.Is(failure, errGoexit):
		runtime.Goexit()
		return nil, failure
	default:
		panic(failure)
	}
}

// bindFor is the method that calls Control; see changes.
//
//go:noinline
func (s *server) bindFor(b *binding) {
	l, err := s.bind()
	b.bound <- bound{l, err}
	if b.abandoned.Load() {
		b.discard()
	}
	runtime.KeepAlive(s)
}

// binding is one call of bind. The caller may stop waiting for it.
type binding struct {
	bound     chan bound // room for the one result
	abandoned atomic.Bool
}

type bound struct {
	listener net.Listener
	err      error
}

// abandon closes the socket that may still come.
func (b *binding) abandon() {
	b.abandoned.Store(true)
	b.discard()
}

func (b *binding) discard() {
	select {
	case result := <-b.bound:
		if result.listener != nil {
			_ = result.listener.Close()
		}
	default:
	}
}
