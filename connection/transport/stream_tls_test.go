package transport_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// certified returns a server's configuration; its client must trust anybody.
func certified(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}
}

var anybody = &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}

// overTLS runs a test in a bubble with a Stream whose TLS handshake is over and whose client reads nothing: whoever writes waits.
func overTLS(t *testing.T, test func(t *testing.T, s *transport.Stream)) {
	for name, stream := range map[string]func(conn net.Conn, joined *sync.WaitGroup) *transport.Stream{
		"ours": func(conn net.Conn, joined *sync.WaitGroup) *transport.Stream {
			return transport.NewTLSStream(conn, certified(t), joined)
		},
		"from the listener": func(conn net.Conn, joined *sync.WaitGroup) *transport.Stream {
			return transport.NewStream(tls.Server(conn, certified(t)), joined)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, peer := net.Pipe()
				client := tls.Client(peer, anybody)
				var joined sync.WaitGroup
				s, e := stream(ours, &joined), newEvents()
				require.False(t, s.Open(e))
				go func() {
					_ = client.Handshake()
					_, _ = client.Read(make([]byte, 1)) // the session tickets, before the one byte
				}()
				require.NoError(t, shakeHands(t, s, e.readable, new(transport.Input), 100))
				_, err := s.Writev([][]byte{{1}})
				require.NoError(t, err)
				test(t, s)
				joined.Wait()
				_ = peer.Close()
			})
		})
	}
}

// A tls.Conn's Close first says goodbye, and waits up to 5 s until somebody hears it.
func TestAbortDoesNotSayGoodbye(t *testing.T) {
	overTLS(t, func(t *testing.T, s *transport.Stream) {
		start := time.Now()
		s.Abort()
		assert.Zero(t, time.Since(start))
	})
}

func TestAbortCutsAGoodbyeShort(t *testing.T) {
	overTLS(t, func(t *testing.T, s *transport.Stream) {
		start := time.Now()
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_ = s.Close()
		}()
		synctest.Wait()
		s.Abort()
		<-closed
		assert.Zero(t, time.Since(start))
	})
}
