package transport_test

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

func TestOverAnyConnectionTheHeaderComesFirst(t *testing.T) {
	for name, connect := range pairs {
		t.Run(name, func(t *testing.T) {
			for _, one := range headers {
				ours, peer := connect(t)
				var joined sync.WaitGroup
				p, e := transport.NewProxied(transport.NewStream(ours, &joined), nil), newEvents()
				require.False(t, p.Open(e))
				go func() {
					for rest := one.text + "data"; rest != ""; rest = rest[1:] {
						_, _ = io.WriteString(peer, rest[:1])
					}
					_ = peer.Close()
				}()
				var in transport.Input
				require.NoError(t, shakeHands(t, p, e.readable, &in, 3))
				assert.Equal(t, one.text, string(p.Header().Raw))
				assert.Equal(t, "data", rest(t, p, e.readable, &in))
				_ = p.Close()
				joined.Wait()
			}
		})
	}
}

// merged lets a client's first flight go out in one piece with the header, cut where the test wants
// it: TLS's first bytes are read with the header then, and must not be lost.
type merged struct {
	net.Conn
	header string
	cut    int
}

func (m *merged) Write(p []byte) (int, error) {
	if m.header == "" {
		return m.Conn.Write(p)
	}
	all := m.header + string(p)
	m.header = ""
	cut := min(m.cut, len(all))
	for _, piece := range []string{all[:cut], all[cut:]} {
		if piece == "" {
			continue
		}
		if _, err := io.WriteString(m.Conn, piece); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func TestTLSBeginsWithTheByteBehindTheHeader(t *testing.T) {
	config := certified(t)
	header := headers["v2 TCP4 with TLVs"].text
	for _, room := range []int{1, 64, 8192} {
		for cut := 0; cut < len(header)+300; cut += 1 + cut/len(header)*50 {
			ours, peer := net.Pipe()
			var joined sync.WaitGroup
			p, e := transport.NewProxied(transport.NewTLSStream(ours, config, &joined), nil), newEvents()
			p.Open(e)
			client := tls.Client(&merged{peer, header, cut}, trusting)
			text := strings.Repeat("secret ", 1000)
			go func() {
				_, _ = io.WriteString(client, text)
				_ = client.CloseWrite()
				_, _ = client.Read(make([]byte, 1))
			}()
			var in transport.Input
			require.NoError(t, shakeHands(t, p, e.readable, &in, room), "cut at %d", cut)
			require.Zero(t, in.Len(), "it was TLS's")
			assert.Equal(t, text, rest(t, p, e.readable, &in))
			assert.Equal(t, client4.String(), p.RemoteAddr().String())
			p.Abort()
			_ = peer.Close()
			joined.Wait()
		}
	}
}

// A listener of the user's may hand out TLS connections itself. Then the first bytes that we see
// are those within TLS.
func TestBehindAHandshakeOfTheListenersOwnTheHeaderIsWithinIt(t *testing.T) {
	ours, peer := net.Pipe()
	var joined sync.WaitGroup
	p, e := transport.NewProxied(transport.NewStream(tls.Server(ours, certified(t)), &joined), nil), newEvents()
	p.Open(e)
	client := tls.Client(peer, trusting)
	go func() { _, _ = io.WriteString(client, "PROXY UNKNOWN\r\ndata"); _, _ = client.Read(make([]byte, 1)) }()
	var in transport.Input
	require.NoError(t, shakeHands(t, p, e.readable, &in, 100))
	assert.Equal(t, "data", string(in.Bytes()))
	in.Release()
	p.Abort()
	_ = peer.Close()
	joined.Wait()
}
