package listener

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// clerk shares plain variables with its client. Only the bytes order the accesses.
type clerk struct {
	asked, seen int
	answer      func(socket protocol.Socket, request *protocol.Buffer) error
}

func (*clerk) Accepted(protocol.Socket) error           { return nil }
func (*clerk) Closed(protocol.Socket, *protocol.Closed) {}

func (c *clerk) Data(socket protocol.Socket, b *protocol.Buffer) error {
	if b.Len() < len(request) {
		return nil
	}
	c.seen = c.asked
	return c.answer(socket, b)
}

// request is long enough for Forward to hand its memory on.
var request = bytes.Repeat([]byte("request."), 1<<7)

// answers are the ways to send request back.
func answers(t *testing.T, w *world) map[string]func(protocol.Socket, *protocol.Buffer) error {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, request, 0o600))
	file, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	half := len(request) / 2
	return map[string]func(protocol.Socket, *protocol.Buffer) error{
		"Write": func(s protocol.Socket, b *protocol.Buffer) error {
			_, err := s.Write(b.Next(b.Len()))
			return err
		},
		"two writes": func(s protocol.Socket, b *protocol.Buffer) error {
			_, _ = s.Write(b.Next(half))
			_, err := s.Write(b.Next(b.Len()))
			return err
		},
		"WriteBuffers": func(s protocol.Socket, b *protocol.Buffer) error {
			b.Discard(b.Len())
			return s.WriteBuffers([][]byte{request[:half], request[half:]}, nil)
		},
		"WriteOwned": func(s protocol.Socket, b *protocol.Buffer) error {
			return s.WriteOwned(bytes.Clone(b.Next(b.Len())), nil)
		},
		"Forward": func(s protocol.Socket, b *protocol.Buffer) error {
			_, err := s.Forward(b)
			return err
		},
		"WriteFile": func(s protocol.Socket, b *protocol.Buffer) error {
			b.Discard(b.Len())
			return s.WriteFile(file, 0, int64(len(request)), nil)
		},
		"by PID": func(s protocol.Socket, b *protocol.Buffer) error {
			w.Root.Send(s.PID(), &protocol.Write{Data: bytes.Clone(b.Next(b.Len()))})
			return nil
		},
	}
}

// ways are the ways to end a conversation so that the client reads its end.
var ways = map[string]func(protocol.Socket) error{
	"Close":      func(s protocol.Socket) error { return s.Close() },
	"CloseWrite": func(s protocol.Socket) error { s.CloseWrite(); return nil },
	"an error":   func(protocol.Socket) error { return io.ErrUnexpectedEOF },
}

// Everything that happens before a byte is sent is visible to the goroutine that has read it. The
// race detector checks this too: make race.
func TestWhatIsDoneBeforeBytesAreSentIsVisibleWhereTheyAreRead(t *testing.T) {
	overClerks(t, func(t *testing.T, w *world, serve func(tcpactor.Factory) *Listener) {
		for name, answer := range answers(t, w) {
			t.Run(name, func(t *testing.T) {
				handler := &clerk{answer: answer}
				l := serve(of(handler))
				defer l.Close()
				c := dial(t, l)
				_ = c.SetDeadline(time.Now().Add(patience))
				for n := range 20 {
					put(t, c, handler, n)
					got := make([]byte, len(request))
					_, err := io.ReadFull(c, got)
					require.NoError(t, err)
					assert.Equal(t, n, handler.seen)
				}
			})
		}
		for name, end := range ways {
			t.Run(name, func(t *testing.T) {
				handler := &clerk{answer: func(s protocol.Socket, b *protocol.Buffer) error {
					b.Discard(b.Len())
					return end(s)
				}}
				l := serve(of(handler))
				defer l.Close()
				c := dial(t, l)
				_ = c.SetDeadline(time.Now().Add(patience))
				put(t, c, handler, 1)
				_, err := c.Read(make([]byte, 1))
				require.ErrorIs(t, err, io.EOF)
				assert.Equal(t, 1, handler.seen)
			})
		}
	})
}

// overClerks runs a test with each transport, over TCP and unix sockets.
func overClerks(t *testing.T, test func(t *testing.T, w *world, serve func(tcpactor.Factory) *Listener)) {
	for _, network := range []string{"tcp", "unix"} {
		overEach(t, func(t *testing.T, o Options) {
			t.Run(network, func(t *testing.T) {
				w := newWorld()
				o.Network = network
				test(t, w, func(factory tcpactor.Factory) *Listener {
					l, err := Listen(w.Root, someAddress(t, o), factory, o)
					require.NoError(t, err)
					return l
				})
			})
		})
	}
}

func put(t *testing.T, c net.Conn, handler *clerk, n int) {
	t.Helper()
	handler.asked = n
	_, err := c.Write(request)
	require.NoError(t, err)
}
