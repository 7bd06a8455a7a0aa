//go:build linux

package simnet_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

// ender has the common methods of a *net.TCPConn and a *simnet.Conn.
type ender interface {
	net.Conn
	CloseRead() error
	CloseWrite() error
	SetLinger(sec int) error
}

// transcript notes what each call returned, without the addresses.
type transcript struct{ strings.Builder }

func (tr *transcript) note(call string, err error) {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		err = fmt.Errorf("%T %s: %w", err, op.Op, op.Err)
	}
	fmt.Fprintf(tr, "%s %v\n", call, err)
}

func (tr *transcript) read(c ender, size int) {
	p := make([]byte, size)
	n, err := c.Read(p)
	tr.note(fmt.Sprintf("read %q", p[:n]), err)
}

func (tr *transcript) write(c ender, s string) {
	n, err := io.WriteString(c, s)
	tr.note(fmt.Sprintf("write %d", n), err)
}

// writeUntilRefused is for a write that the other end refuses. The kernel may need several writes
// until then.
func (tr *transcript) writeUntilRefused(c ender) {
	_, err := c.Write([]byte("x"))
	for err == nil {
		_, err = c.Write([]byte("x"))
	}
	tr.note("write", err)
}

// scripts are played on loopback and on a Pipe. Each waits for the network only in a Read, so that
// no sleep is needed.
var scripts = map[string]func(tr *transcript, a, b ender){
	"reset with data waiting": func(tr *transcript, a, b ender) {
		tr.write(a, "hello")
		tr.note("linger", a.SetLinger(0))
		tr.note("close", a.Close())
		for range 3 {
			tr.read(b, 10)
		}
		tr.write(b, "x")
		tr.write(b, "")
		tr.read(b, 0)
		tr.note("closewrite", b.CloseWrite())
		tr.note("closeread", b.CloseRead())
		tr.note("close", b.Close())
	},
	"close with unread input": func(tr *transcript, a, b ender) {
		tr.write(b, "QUIT")
		tr.read(a, 1)
		tr.write(a, "bye")
		tr.note("close", a.Close())
		for range 3 {
			tr.read(b, 10)
		}
		tr.write(b, "x")
	},
	"input after close": func(tr *transcript, a, b ender) {
		tr.write(a, "bye")
		tr.note("close", a.Close())
		tr.read(b, 10)
		tr.read(b, 10)
		tr.writeUntilRefused(b)
		tr.read(b, 10)
		tr.write(b, "x")
	},
	"close with unread input and the peer's end": func(tr *transcript, a, b ender) {
		tr.write(a, "hi")
		tr.note("closewrite", a.CloseWrite())
		tr.read(b, 1)
		tr.note("close", b.Close())
		tr.read(a, 1)
		tr.read(a, 1)
	},
	"half closes": func(tr *transcript, a, b ender) {
		tr.note("closewrite", a.CloseWrite())
		tr.note("closewrite", a.CloseWrite())
		tr.write(a, "x")
		tr.write(a, "")
		tr.read(b, 1)
		tr.write(b, "reply")
		tr.note("closewrite", b.CloseWrite())
		tr.read(a, 10)
		tr.read(a, 10)
		tr.note("closewrite", a.CloseWrite())
		tr.note("closeread", a.CloseRead())
		tr.note("close", a.Close())
	},
	"close read": func(tr *transcript, a, b ender) {
		tr.write(a, "12")
		tr.read(b, 1)
		tr.note("closeread", b.CloseRead())
		tr.read(b, 1)
		tr.read(b, 1)
		tr.write(b, "still")
		tr.read(a, 10)
	},
	"input with both halves shut": func(tr *transcript, a, b ender) {
		tr.note("closeread", b.CloseRead())
		tr.note("closewrite", b.CloseWrite())
		tr.read(a, 1)
		tr.writeUntilRefused(a)
		tr.read(b, 1)
		tr.read(b, 1)
	},
	"reset after the end": func(tr *transcript, a, b ender) {
		tr.note("closewrite", a.CloseWrite())
		tr.note("linger", a.SetLinger(0))
		tr.note("close", a.Close())
		tr.read(b, 1)
		tr.writeUntilRefused(b)
		tr.read(b, 1)
	},
	"closed": func(tr *transcript, a, _ ender) {
		tr.note("close", a.Close())
		tr.note("close", a.Close())
		tr.read(a, 0)
		tr.write(a, "")
		tr.note("closewrite", a.CloseWrite())
		tr.note("closeread", a.CloseRead())
		tr.note("linger", a.SetLinger(0))
		tr.note("deadline", a.SetDeadline(longAgo))
	},
	"deadline past": func(tr *transcript, a, _ ender) {
		tr.note("deadline", a.SetDeadline(longAgo))
		tr.read(a, 0)
		tr.read(a, 1)
		tr.write(a, "")
		tr.write(a, "x")
	},
}

func TestTheKernelReturnsTheSameFromEveryCall(t *testing.T) {
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			var kernel, sim transcript
			a, b := loopback(t)
			script(&kernel, a, b)
			c, d := simnet.Pipe(simnet.Options{})
			script(&sim, c, d)
			require.Equal(t, kernel.String(), sim.String())
		})
	}
}

func loopback(t *testing.T) (a, b ender) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	dialed, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { dialed.Close() })
	accepted, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { accepted.Close() })
	return dialed.(ender), accepted.(ender)
}
