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

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/report"
)

// R1: one side says that it has finished, the other goes on. Everything arrives, in both directions.
func TestAfterAHalfCloseTheOtherDirectionIsWhole(t *testing.T) {
	overEach(t, func(t *testing.T, transport listener.Transport) {
		began, rounds := time.Now(), of(1000)
		heard := make(chan [sha256.Size]byte, 1)
		echo := handler{data: func(s protocol.Socket, b *protocol.Buffer) error { _, err := s.Forward(b); return err }}
		echoes, _ := listen(t, doorOf(echo), listener.Options{Transport: transport})
		hears, _ := listen(t, listens(heard), listener.Options{Transport: transport, Connection: connection.Options{KeepOpenOnPeerClosed: true}})
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

// listens is a server that has nothing to say: it finishes at once, and tells what it heard.
func listens(heard chan<- [sha256.Size]byte) tcpactor.Door {
	return tcpactor.Handlers(func() tcpactor.Handler {
		hash := sha256.New()
		return handler{
			accepted: func(s protocol.Socket) error { s.CloseWrite(); return nil },
			data:     func(_ protocol.Socket, b *protocol.Buffer) error { hash.Write(b.Next(b.Len())); return nil },
			closed:   func(*protocol.Closed) { heard <- [sha256.Size]byte(hash.Sum(nil)) },
		}
	})
}

// reply is what a server sends before it closes while the client still sends.
var reply = bytes.Repeat([]byte("reply..."), 64<<10)

// R3: a server answers and closes while there is input that it has not read. The answer arrives whole, which a plain close would not see to.
func TestAReplyIsWholeAlthoughTheServerClosesWithInputUnread(t *testing.T) {
	overEach(t, func(t *testing.T, transport listener.Transport) {
		began, rounds := time.Now(), of(1000)
		answers := handler{data: func(s protocol.Socket, _ *protocol.Buffer) error {
			if err := s.WriteOwned(reply, nil); err != nil {
				return err
			}
			return s.Close()
		}}
		l, _ := listen(t, doorOf(answers), listener.Options{Transport: transport, Connection: connection.Options{WriteBufferSize: len(reply)}})
		truncated := ask(t, l.Addr().String(), rounds)
		naive := ask(t, naively(t), rounds)
		tell(t, report.Row{ID: "R3", Holds: "G3", Figures: map[string]any{"rounds": rounds, "truncated": truncated, "truncated by a plain close": naive}}, began)
		assert.Zero(t, truncated)
		assert.NotZero(t, naive, "or the test shows nothing")
	})
}

// ask sends more than is read, and counts the answers that are not whole.
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

// naively is the same server as it is written without knowing.
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
