package storm

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/report"
)

// R1: one side half-closes, the other goes on. Everything arrives, in both directions.
func TestAfterAHalfCloseTheOtherDirectionIsWhole(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began, rounds := time.Now(), of(1000)
		heard := make(chan [sha256.Size]byte, 1)
		echo := handler{data: func(s berth.Socket, b *berth.Buffer) error { _, err := s.Forward(b); return err }}
		echoes, _ := listen(t, factoryOf(echo), berth.Options{Transport: transport})
		hears, _ := listen(t, listens(heard), berth.Options{Transport: transport, Connection: berth.ConnectionOptions{KeepOpenOnPeerClosed: true}})
		data := bytes.Repeat([]byte("0123456789abcdef"), 8<<10)
		truncated := 0
		for range rounds {
			client := dial(t, echoes)
			go func() { _, _ = client.Write(data); _ = client.CloseWrite() }()
			back, err := io.ReadAll(client)
			if err != nil || !bytes.Equal(back, data) {
				truncated++
			}
			_ = client.Close()

			client = dial(t, hears)
			_, err = io.ReadAll(client) // the server finishes first
			require.NoError(t, err)
			_, err = client.Write(data)
			require.NoError(t, err)
			require.NoError(t, client.CloseWrite())
			if <-heard != sha256.Sum256(data) {
				truncated++
			}
			_ = client.Close()
		}
		tell(t, report.Row{ID: "R1", Holds: "G2 G3", Figures: map[string]any{"rounds": rounds, "truncated": truncated}}, began)
		assert.Zero(t, truncated)
	})
}

// listens is a server that sends nothing: it half-closes at once, and reports what it received.
func listens(heard chan<- [sha256.Size]byte) berth.Factory {
	return berth.Handlers(func() berth.Handler {
		hash := sha256.New()
		return handler{
			accepted: func(s berth.Socket) error { s.CloseWrite(); return nil },
			data:     func(_ berth.Socket, b *berth.Buffer) error { hash.Write(b.Next(b.Len())); return nil },
			closed:   func(*berth.Closed) { heard <- [sha256.Size]byte(hash.Sum(nil)) },
		}
	})
}

// R2: a server closes with a full queue. A peer that reads gets all of it. For a peer that does not
// read, the unsent rest is known to the byte.
func TestACloseWithAFullQueueKnowsToTheByteWhatWasNotSent(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began, rounds := time.Now(), of(1000)
		ends := make(chan end, 1)
		o := berth.Options{
			Network: "unix", Transport: transport, SendBufferSize: 8 << 10, // a quarter of the queue
			Connection: berth.ConnectionOptions{CloseTimeout: 20 * time.Millisecond},
		}
		stalled := listenUnix(t, fills(ends), o)
		o.Connection.CloseTimeout = 0
		flushed := listenUnix(t, fills(ends), o)
		inexact, unsent := 0, uint64(0)
		for range rounds {
			client, err := net.Dial("unix", flushed.Addr().String())
			require.NoError(t, err)
			got, err := io.ReadAll(client)
			_ = client.Close()
			if e := <-ends; err != nil || !e.sent(got) || e.Unsent != 0 {
				inexact++
			}

			client, err = net.Dial("unix", stalled.Addr().String())
			require.NoError(t, err)
			e := <-ends
			got, _ = io.ReadAll(client) // what the kernel had taken
			_ = client.Close()
			if !e.sent(got) || e.Unsent == 0 {
				inexact++
			}
			unsent += e.Unsent
		}
		tell(t, report.Row{ID: "R2", Holds: "G3 G11", Figures: map[string]any{"rounds": rounds, "bytes unsent": unsent, "inexact": inexact}}, began)
		assert.Zero(t, inexact)
	})
}

// listenUnix listens at a path. The peer can read written bytes there, even after a reset.
func listenUnix(t *testing.T, factory berth.Factory, options berth.Options) *berth.Server {
	t.Helper()
	l, _ := listenOnly(t, setup.SocketPath(t), factory, options)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l
}

// end holds the facts about a connection that has ended.
type end struct {
	berth.Stats
	accepted uint64
}

// sent reports whether got is exactly the written part of the accepted bytes.
func (e end) sent(got []byte) bool {
	return uint64(len(got)) == e.Written && e.Written+e.Unsent == e.accepted && bytes.Equal(got, numbered(0, len(got)))
}

// numbered is the part of a long text from a place on. The text differs at each place from its
// neighbours.
func numbered(from, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = byte((from + i) * 31 >> ((from + i) % 5))
	}
	return p
}

// fills is a server that writes until no more fits, and closes.
func fills(ends chan<- end) berth.Factory {
	return berth.Handlers(func() berth.Handler {
		accepted := 0
		return handler{
			accepted: func(s berth.Socket) error {
				for {
					n, err := s.Write(numbered(accepted, 1000))
					if err != nil {
						return s.Close()
					}
					accepted += n
				}
			},
			closed: func(c *berth.Closed) { ends <- end{c.Stats, uint64(accepted)} },
		}
	})
}

// reply is sent by a server before it closes while the client still sends.
var reply = bytes.Repeat([]byte("reply..."), 64<<10)

// R3: a server answers and closes while there is input that it has not read. The answer arrives
// whole. A plain close would not guarantee that.
func TestAReplyIsWholeAlthoughTheServerClosesWithInputUnread(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began, rounds := time.Now(), of(1000)
		answers := handler{data: func(s berth.Socket, _ *berth.Buffer) error {
			if err := s.WriteOwned(reply, nil); err != nil {
				return err
			}
			return s.Close()
		}}
		l, _ := listen(t, factoryOf(answers), berth.Options{Transport: transport, Connection: berth.ConnectionOptions{WriteBufferSize: len(reply)}})
		truncated := ask(t, l.Addr().String(), rounds)
		naive := ask(t, naively(t), rounds)
		tell(t, report.Row{ID: "R3", Holds: "G3", Figures: map[string]any{"rounds": rounds, "truncated": truncated, "truncated by a plain close": naive}}, began)
		assert.Zero(t, truncated)
		assert.NotZero(t, naive, "or the test shows nothing")
	})
}

// ask sends more than the server reads, and counts the answers that are not whole.
func ask(t *testing.T, addr string, rounds int) (truncated int) {
	question := make([]byte, 100<<10)
	for range rounds {
		conn, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		_ = conn.SetDeadline(time.Now().Add(patience))
		sent := make(chan struct{})
		go func() { defer close(sent); _, _ = conn.Write(question) }()
		got, err := io.ReadAll(conn)
		if err != nil || len(got) != len(reply) {
			truncated++
		}
		_ = conn.Close()
		<-sent
	}
	return truncated
}

// naively is the same server with a plain close.
func naively(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1))
			_, _ = conn.Write(reply)
			_ = conn.Close()
		}
	}()
	return l.Addr().String()
}
