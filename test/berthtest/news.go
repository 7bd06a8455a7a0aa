package berthtest

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// news collects what the server publishes of its connections. Any goroutine may call its methods.
type news struct {
	mu       sync.Mutex
	changed  chan struct{} // closed at the next news, nil if nothing waits for them
	failures []*connection.HandlerFailed
	endings  map[string]ending // by the address of the client
}

// ending is why the server ended, or refused, a connection.
type ending struct {
	reason berth.Reason
	text   string
}

// add is called by the event stream.
func (n *news) add(event any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch e := event.(type) {
	case *connection.HandlerFailed:
		n.failures = append(n.failures, e)
	case *connection.Closing:
		n.ended(e.RemoteAddr, e.Reason, e.Err)
	case *connection.HandshakeFailed:
		if e.StartTLS {
			return // Closing follows
		}
		n.ended(e.RemoteAddr, protocol.ReasonHandshake, e.Err)
	case *listener.Rejected:
		n.ended(e.RemoteAddr, protocol.ReasonNone, fmt.Errorf("the client was refused: %v", e.Reason))
	default:
		return
	}
	if n.changed != nil {
		close(n.changed)
		n.changed = nil
	}
}

// mu must be held in ended.
func (n *news) ended(client net.Addr, reason berth.Reason, err error) {
	if client == nil {
		return
	}
	if n.endings == nil {
		n.endings = map[string]ending{}
	}
	text := reason.String()
	switch {
	case reason == protocol.ReasonNone:
		text = err.Error()
	case err != nil && strings.TrimPrefix(err.Error(), "berth: ") != text:
		text += ": " + err.Error()
	}
	n.endings[client.String()] = ending{reason, text}
}

// next returns a channel that is closed at the next news.
func (n *news) next() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.changed == nil {
		n.changed = make(chan struct{})
	}
	return n.changed
}

// of returns why the connection of a client ended, nil if it has not.
func (n *news) of(client string) *ending {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e, ok := n.endings[client]; ok {
		return &e
	}
	return nil
}

// takeFailure returns the oldest failure that was not taken, nil if there is none.
func (n *news) takeFailure() *connection.HandlerFailed {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.failures) == 0 {
		return nil
	}
	failed := n.failures[0]
	n.failures = n.failures[1:]
	return failed
}

// unexpected returns the failures that were not taken.
func (n *news) unexpected() []*connection.HandlerFailed {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failures
}

// await returns the result of find once it is not nil, or nil after patience.
func await[T any](n *news, patience time.Duration, find func() *T) *T {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		changed := n.next()
		if found := find(); found != nil {
			return found
		}
		turn := seam.Wait()
		select {
		case <-changed:
			turn.Over()
		case <-deadline.C:
			turn.Over()
			return find()
		}
	}
}

// describe says how a handler failed, with the stack of a panic.
func describe(failed *connection.HandlerFailed) string {
	var panicked *protocol.PanicError
	if errors.As(failed.Err, &panicked) && len(panicked.Stack) > 0 {
		return fmt.Sprintf("%v\n%s", failed.Err, panicked.Stack)
	}
	return fmt.Sprintf("%v: %v", failed.Reason, failed.Err)
}
