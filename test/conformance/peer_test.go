package conformance

import (
	"crypto/tls"
	"io"
	"net"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// peer is the client's end of a connection.
type peer struct {
	net.Conn
	w *world
}

// send writes all of text. It blocks while the server does not read.
func (p *peer) send(text string) {
	p.w.t.Helper()
	p.patiently()
	_, err := io.WriteString(p.Conn, text)
	require.NoError(p.w.t, err)
}

// expect reads exactly text.
func (p *peer) expect(text string) {
	p.w.t.Helper()
	require.Equal(p.w.t, text, string(p.take(len(text))))
}

// take reads exactly n bytes.
func (p *peer) take(n int) []byte {
	p.w.t.Helper()
	p.patiently()
	b := make([]byte, n)
	got, err := io.ReadFull(p.Conn, b)
	require.NoError(p.w.t, err, "after %d of %d bytes", got, n)
	return b
}

// rest reads until the server's FIN.
func (p *peer) rest() string {
	p.w.t.Helper()
	b, err := p.all()
	require.NoError(p.w.t, err)
	return string(b)
}

// all reads until the end of any kind. The error is nil for a FIN.
func (p *peer) all() ([]byte, error) {
	p.patiently()
	return io.ReadAll(p.Conn)
}

// patiently bounds the calls that follow.
func (p *peer) patiently() { _ = p.SetDeadline(time.Now().Add(p.w.patience())) }

// closeWrite sends FIN; reading goes on.
func (p *peer) closeWrite() {
	p.w.t.Helper()
	if secured, ok := p.Conn.(*tls.Conn); ok {
		require.NoError(p.w.t, secured.Handshake()) // the server may be further than the client, and CloseWrite does not wait
	}
	require.NoError(p.w.t, p.Conn.(interface{ CloseWrite() error }).CloseWrite())
}

// reset sends RST.
func (p *peer) reset() {
	p.w.t.Helper()
	socket := p.Conn
	if secured, ok := socket.(*tls.Conn); ok {
		socket = secured.NetConn() // without TLS's closeNotify
	}
	require.NoError(p.w.t, socket.(interface{ SetLinger(sec int) error }).SetLinger(0))
	assert.NoError(p.w.t, socket.Close())
}

// close closes the connection as a client that is finished.
func (p *peer) close() {
	err := p.Conn.Close()
	if !p.w.network.secured { // TLS's closeNotify may find the peer closed
		assert.NoError(p.w.t, err)
	}
}

// drain reads until the end and closes, on a goroutine of its own. The function it returns waits
// for that and returns the number of bytes.
func (p *peer) drain() (came func() int) {
	read := make(chan int, 1)
	go func() {
		b, _ := p.all()
		_ = p.Conn.Close()
		read <- len(b)
	}()
	return func() int { return <-read }
}
