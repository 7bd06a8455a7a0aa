package connection

import (
	"bytes"
	"fmt"
	"runtime"

	"github.com/go-berth/berth/connection/transport"
)

// Enclosing returns the receivers of the calls of a method that enclose the caller, on its own
// goroutine, as %p prints them. The method is named as the runtime names it, and must be one that
// is not inlined and that uses its receiver after the call in question.
//
// Go exposes this only in the text of a stack trace, so Enclosing reads it there. It takes some
// microseconds. If a release of Go writes the trace differently, nothing is found, and a test
// fails.
func Enclosing(method string) (receivers []string) {
	stack := make([]byte, 64<<10) // a trace has at most 100 frames
	stack = stack[:runtime.Stack(stack, false)]
	call := []byte("\n" + method + "(0x")
	for {
		_, after, found := bytes.Cut(stack, call)
		if !found {
			return receivers
		}
		end := bytes.IndexAny(after, ",?)")
		if end < 0 {
			return receivers
		}
		if after[end] != '?' { // which says that the value may be an old one
			receivers = append(receivers, "0x"+string(after[:end]))
		}
		stack = after
	}
}

// userCode are the methods below which the user's code runs on a connection's turn, and TLS's
// callbacks on the goroutine of its handshake.
var userCode = [...]string{
	"github.com/go-berth/berth/connection.(*Connection).try",
	"github.com/go-berth/berth/connection.(*Connection).tryCall",
	"github.com/go-berth/berth/connection.(*Connection).makeHandler",
	"github.com/go-berth/berth/connection/transport.(*Stream).shakeHands",
	"github.com/go-berth/berth/connection/transport.(*PollTLS).shakeHands",
}

// Encloses reports whether the caller is called, on its own goroutine, by the handler, by a
// completion or by the TLS handshake of one of these connections.
func (s *Spawner) Encloses() bool {
	inside := map[string]bool{}
	for _, method := range userCode {
		for _, receiver := range Enclosing(method) {
			inside[receiver] = true
		}
	}
	if len(inside) == 0 {
		return false
	}
	for _, c := range s.Live() {
		socket := c.conn()
		if proxied, ok := socket.(*transport.Proxied); ok {
			socket = proxied.Conn
		}
		if inside[fmt.Sprintf("%p", c)] || inside[fmt.Sprintf("%p", socket)] {
			return true
		}
	}
	return false
}
