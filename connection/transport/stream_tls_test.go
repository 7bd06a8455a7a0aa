package transport_test

import (
	"crypto/tls"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/setup"
)

// certified returns a server's configuration. See trusting for its client.
func certified(*testing.T) *tls.Config {
	server, _ := setup.TLS()
	return server
}

var trusting = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}

// overTLS runs a test in a bubble with a Stream after its TLS handshake. The client reads nothing:
// every write waits.
func overTLS(t *testing.T, test func(t *testing.T, s *transport.Stream, peer net.Conn), ways ...string) {
	for name, stream := range secured {
		if len(ways) > 0 && !slices.Contains(ways, name) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				client := tls.Client(peer, trusting)
				var joined sync.WaitGroup
				s, e := stream(ours, certified(t), &joined), newEvents()
				require.False(t, s.Open(e))
				go func() {
					_ = client.Handshake()
					_, _ = client.Read(make([]byte, 1)) // the session tickets, before the one byte
				}()
				require.NoError(t, shakeHands(t, s, e.readable, new(transport.Input), 100))
				_, err := s.Writev([][]byte{{1}})
				require.NoError(t, err)
				test(t, s, peer)
				joined.Wait()
				_ = peer.Close()
			})
		})
	}
}

// A tls.Conn's Close first sends closeNotify, and waits up to 5 s until the peer reads it.
func TestAbortSendsNoCloseNotify(t *testing.T) {
	overTLS(t, func(t *testing.T, s *transport.Stream, _ net.Conn) {
		start := time.Now()
		s.Abort()
		assert.Zero(t, time.Since(start))
	})
}

func TestAbortCutsACloseNotifyShort(t *testing.T) {
	overTLS(t, func(t *testing.T, s *transport.Stream, _ net.Conn) {
		start := time.Now()
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_ = s.CloseNotify()
		}()
		synctest.Wait()
		s.Abort()
		<-closed
		assert.Zero(t, time.Since(start))
	})
}

// Bytes that move inside a call that has not returned are progress as well: a peer may take, or
// send, a record byte by byte.
func TestTheBytesOfARecordAreCountedAsTheyMove(t *testing.T) {
	overTLS(t, func(t *testing.T, s *transport.Stream, peer net.Conn) {
		read := func() int { n, _ := s.Progress(); return int(n) }
		written := func() int { _, n := s.Progress(); return int(n) }
		counts := func(count, other func() int, move func([]byte) (int, error)) {
			for range 3 {
				before, others := count(), other()
				n, err := move(make([]byte, 7))
				require.NoError(t, err)
				synctest.Wait()
				s.Retry(true)
				synctest.Wait()
				assert.Equal(t, before+n, count())
				assert.Equal(t, others, other())
			}
		}
		ended := make(chan error)
		go func() {
			_, err := s.Writev([][]byte{make([]byte, 1000)})
			ended <- err
		}()
		synctest.Wait()
		counts(written, read, peer.Read)
		s.Ready(100)
		record := "\x17\x03\x03\x01\x00beginning"
		counts(read, written, func([]byte) (int, error) {
			next := record[:2]
			record = record[2:]
			return io.WriteString(peer, next)
		})
		s.Abort()
		require.Error(t, <-ended)
	}, "TLS")
}

func TestFINFollowsCloseNotifyAtOnce(t *testing.T) {
	for name, end := range map[string]func(*transport.Stream) error{"CloseWrite": (*transport.Stream).CloseWrite, "CloseNotify": (*transport.Stream).CloseNotify} {
		t.Run(name, func(t *testing.T) {
			overEverything(t, func(t *testing.T, s *transport.Stream, e *events, peer net.Conn) {
				client, ok := peer.(*tls.Conn)
				if !ok {
					return
				}
				_ = client.SetDeadline(time.Now().Add(patience))
				ended := make(chan error)
				go func() { ended <- end(s) }()
				_, err := client.Read(make([]byte, 1))
				require.Equal(t, io.EOF, err, "close_notify")
				require.NoError(t, receive(t, ended))
				if _, half := client.NetConn().(interface{ CloseWrite() error }); !half {
					return
				}
				n, err := client.NetConn().Read(make([]byte, 1))
				require.Zero(t, n)
				require.Equal(t, io.EOF, err, "FIN")
				_, err = client.Write([]byte("still heard"))
				require.NoError(t, err)
				var in transport.Input
				_, err = fill(t, s, e, &in, 100)
				require.NoError(t, err)
				assert.Equal(t, "still heard", string(in.Bytes()))
				in.Release()
			})
		})
	}
}
