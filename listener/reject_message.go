package listener

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/go-berth/berth/connection/transport"
)

// dismiss sends a client its reject message, if there is one, and closes. It does not wait: work
// that takes time runs on a goroutine of the pool.
func (s *server) dismiss(c client, message []byte) {
	if len(message) == 0 {
		_ = c.Close()
		return
	}
	switch c := c.(type) {
	case interface{ Dismiss(message []byte) }: // over the poll transport
		c.Dismiss(message)
	case net.Conn:
		if !transport.Dismiss(c, message) && !s.rejections.begin(c, message, s.pool.Schedule) {
			_ = c.Close()
		}
	}
}

// rejections hold the reject messages to clients whose net.Conn can only be written to by waiting.
// Any goroutine may call its methods.
type rejections struct {
	mu    sync.Mutex
	under map[*rejection]struct{} // way
	ended bool
}

type rejection struct{ conn net.Conn }

const (
	// mostRejections is how many messages are written at once. Beyond it, clients are closed
	// without one.
	mostRejections = 64
	// rejectTime is how long a message may take, from its first byte to the client's FIN.
	rejectTime = time.Second
)

// begin sends the reject message on a goroutine of run's, and closes conn. It returns false if
// there are too many, or it is too late; then conn still belongs to the caller.
func (f *rejections) begin(conn net.Conn, text []byte, run func(func())) bool {
	one := &rejection{conn}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended || len(f.under) >= mostRejections {
		return false
	}
	if f.under == nil {
		f.under = map[*rejection]struct{}{}
	}
	f.under[one] = struct{}{}
	run(func() {
		defer f.finish(one)
		_ = guarded(func() { one.say(text) })
	})
	return true
}

// say writes the message, sends FIN and waits for the client's FIN, as a close would do: see the
// close family in ARCHITECTURE.md.
func (f *rejection) say(text []byte) {
	_ = f.conn.SetDeadline(time.Now().Add(rejectTime))
	if _, err := f.conn.Write(text); err != nil {
		return
	}
	if half, ok := f.conn.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, f.conn, mostUnread)
	}
}

// mostUnread is the most input that is read and dropped, in bytes.
const mostUnread = 256 << 10

func (f *rejections) finish(one *rejection) {
	f.mu.Lock()
	delete(f.under, one)
	f.mu.Unlock()
	_ = guarded(func() { _ = one.conn.Close() })
}

// end cuts off the messages that are under way, and allows no more.
func (f *rejections) end() {
	f.mu.Lock()
	f.ended = true
	under := make([]*rejection, 0, len(f.under))
	for one := range f.under {
		under = append(under, one)
	}
	f.mu.Unlock()
	for _, one := range under {
		_ = guarded(func() { _ = one.conn.Close() })
	}
}
