package transport_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests pin what TLS on the poll transport needs of crypto/tls and what crypto/tls does not
// document. Where one of them fails with a new release of Go, PollTLS is to be changed, or
// listeners with a TLSConfig need the transport Stream there.

// piecemeal is a connection that gives what was put into it, and a temporary error where nothing is
// left. What is written to it is kept.
type piecemeal struct {
	in, out bytes.Buffer
	blocks  bool // an empty in is an end of the input otherwise
	most    int  // bytes that a Write takes before it fails; 0: all
	err     error
}

func (p *piecemeal) Read(b []byte) (int, error) {
	if p.in.Len() == 0 && p.blocks {
		return 0, p.err
	}
	return p.in.Read(b)
}

func (p *piecemeal) Write(b []byte) (int, error) {
	if p.most > 0 && len(b) > p.most {
		n, _ := p.out.Write(b[:p.most])
		return n, p.err
	}
	return p.out.Write(b)
}

func (*piecemeal) Close() error                     { return nil }
func (*piecemeal) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*piecemeal) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (*piecemeal) SetDeadline(time.Time) error      { return nil }
func (*piecemeal) SetReadDeadline(time.Time) error  { return nil }
func (*piecemeal) SetWriteDeadline(time.Time) error { return nil }

// passing is a temporary error, as PollTLS has one.
type passing struct{ said string }

func (e *passing) Error() string { return e.said }
func (*passing) Timeout() bool   { return true }
func (*passing) Temporary() bool { return true }

// rewired is a net.Conn whose other end is replaced after the handshake.
type rewired struct{ net.Conn }

// cryptoTLS returns a server after its handshake with a client, both of one version, with nothing
// below them any more but the returned connections. The client has read the server's session
// tickets.
func cryptoTLS(t *testing.T, version uint16) (server, client *tls.Conn, belowServer, belowClient *piecemeal) {
	t.Helper()
	ours, theirs := net.Pipe()
	s, c := &rewired{ours}, &rewired{theirs}
	config, trusting := certified(t), trusting.Clone()
	config.MinVersion, trusting.MinVersion = version, version
	config.MaxVersion, trusting.MaxVersion = version, version
	server, client = tls.Server(s, config), tls.Client(c, trusting)
	ended := make(chan error, 1)
	go func(server *tls.Conn) {
		_, err := server.Write([]byte("."))
		ended <- err
	}(server)
	_, err := io.ReadFull(client, make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, <-ended)
	belowServer, belowClient = &piecemeal{}, &piecemeal{}
	s.Conn, c.Conn = belowServer, belowClient
	return server, client, belowServer, belowClient
}

var versions = map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}

func TestCryptoTLSKeepsAPartOfARecordThroughATemporaryError(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			server, client, below, peer := cryptoTLS(t, version)
			for _, text := range []string{"first", "second", string(make([]byte, 5000))} {
				_, err := client.Write([]byte(text))
				require.NoError(t, err)
			}
			require.NoError(t, client.CloseWrite())
			below.blocks, below.err = true, &passing{"nothing yet"}
			var got []byte
			again := 0
			b := make([]byte, 10000)
			for _, one := range peer.out.Bytes() {
				_ = below.in.WriteByte(one)
				for {
					n, err := server.Read(b)
					got = append(got, b[:n]...)
					if n > 0 && err == nil {
						continue
					}
					if err == io.EOF {
						assert.Equal(t, "firstsecond"+string(make([]byte, 5000)), string(got))
						assert.Greater(t, again, 5000)
						return
					}
					require.Same(t, below.err, err, "crypto/tls no longer returns the temporary error of the connection below it, as it is:"+
						" PollTLS cannot tell that a read would block from an end")
					again++
					break
				}
			}
			t.Fatalf("crypto/tls has lost what came before a temporary error: %d bytes, and no end", len(got))
		})
	}
}

func TestCryptoTLSMakesAnErrorOfTheHandshakeFinal(t *testing.T) {
	below := &piecemeal{blocks: true, err: &passing{"nothing yet"}}
	server := tls.Server(below, certified(t))
	first := server.Handshake()
	require.Error(t, first)
	require.Equal(t, first, server.Handshake())
	ours, theirs := net.Pipe()
	defer ours.Close()
	go func() { _ = tls.Client(theirs, trusting).Handshake(); _ = theirs.Close() }()
	hello := make([]byte, 4096)
	n, err := ours.Read(hello)
	require.NoError(t, err)
	below.in.Write(hello[:n])
	require.Equal(t, first, server.Handshake(), "crypto/tls now goes on with a handshake after a temporary error:"+
		" PollTLS needs no goroutine for it any more")
}

func TestCryptoTLSCannotGoOnAfterARecordThatWasWrittenInPart(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			server, _, below, _ := cryptoTLS(t, version)
			below.most, below.err = 3, &passing{"no room"}
			_, err := server.Write([]byte("hello"))
			require.Error(t, err)
			below.most = 0
			_, err = server.Write([]byte("hello"))
			require.Error(t, err, "crypto/tls now goes on after a short write: PollTLS needs no queue of ciphertext any more")
		})
	}
}

// The queue is written once per call, not once per record.
func TestCryptoTLSHandsOverWholeRecords(t *testing.T) {
	for name, version := range versions {
		t.Run(name, func(t *testing.T) {
			server, client, below, peer := cryptoTLS(t, version)
			sent := bytes.Repeat([]byte("0123456789abcdef"), 4<<10)
			n, err := server.Write(sent)
			require.NoError(t, err)
			require.Equal(t, len(sent), n)
			_, _ = peer.in.Write(below.out.Bytes())
			got := make([]byte, len(sent))
			_, err = io.ReadFull(client, got)
			require.NoError(t, err)
			assert.Equal(t, sent, got)
			assert.Zero(t, peer.in.Len(), "the records of a Write are all written when it returns")
		})
	}
}
