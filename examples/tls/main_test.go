package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

// client is a connection to the program.
type client struct {
	*tls.Conn
	lines *bufio.Reader
}

// trusting is the configuration of a client that trusts the authority of the directory.
func (d directory) trusting(t *testing.T) *tls.Config {
	t.Helper()
	authority, err := os.ReadFile(d.path("ca.pem"))
	require.NoError(t, err)
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(authority))
	return &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

// dial returns once the handshake is done. With TLS 1.3 a client learns only from its first read
// that its certificate was refused.
func dial(t *testing.T, addr string, config *tls.Config) (client, error) {
	t.Helper()
	conn := tls.Client(program.DialTCP(t, addr), config)
	return client{conn, bufio.NewReader(conn)}, conn.Handshake()
}

func (c client) line(t *testing.T) string {
	t.Helper()
	line, err := c.lines.ReadString('\n')
	require.NoError(t, err)
	return line
}

func (c client) asks(t *testing.T, question, answer string) {
	t.Helper()
	_, err := io.WriteString(c, question+"\n")
	require.NoError(t, err)
	assert.Equal(t, answer+"\n", c.line(t))
}

func (c client) serial() string { return c.ConnectionState().PeerCertificates[0].SerialNumber.String() }

func TestTheProgram(t *testing.T) {
	path := program.Build(t, ".")
	files := directory(t.TempDir())
	require.NoError(t, files.fill())
	p := program.Start(t, path, "-addr", "127.0.0.1:0", "-dir", string(files))
	addr := p.Addr(t)
	t.Run("tells a client what TLS knows of it", func(t *testing.T) { tells(t, addr, files) })
	t.Run("refuses what TLS refuses", func(t *testing.T) { refuses(t, addr, files) })
	t.Run("serves openssl", func(t *testing.T) { servesOpenSSL(t, addr, files) })
	t.Run("takes a new certificate", func(t *testing.T) { renews(t, path, p, files) })
	t.Run("requires a client's certificate with -require", func(t *testing.T) {
		strict := program.Start(t, path, "-addr", "127.0.0.1:0", "-dir", string(files), "-require")
		without, err := dial(t, strict.Addr(t), files.trusting(t))
		if err == nil {
			_, err = without.lines.ReadString('\n')
		}
		assert.ErrorContains(t, err, "certificate required")
		config := files.trusting(t)
		config.Certificates = []tls.Certificate{files.pair(t, "client")}
		with, err := dial(t, strict.Addr(t), config)
		require.NoError(t, err)
		assert.Contains(t, with.line(t), "hello ada")
	})
	t.Run("makes certificates for one run", func(t *testing.T) {
		one := program.Start(t, path, "-addr", "127.0.0.1:0")
		made := directory(strings.TrimSpace(one.AwaitStderr(t, "msg=certificates dir=")))
		c, err := dial(t, one.Addr(t), made.trusting(t))
		require.NoError(t, err)
		assert.Contains(t, c.line(t), "hello")
		require.NoError(t, c.Close())
		one.Signal(t, os.Interrupt)
		assert.Zero(t, one.Wait(t))
		assert.NoDirExists(t, string(made))
	})
	t.Run("says what is wrong in one sentence", func(t *testing.T) {
		bad := program.Start(t, path, "-renew")
		assert.Equal(t, 1, bad.Wait(t))
		assert.Equal(t, []string{"tls: -renew needs -dir"}, bad.Stderr())
	})
}

func (d directory) pair(t *testing.T, name string) tls.Certificate {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(d.path(name+".pem"), d.path(name+"-key.pem"))
	require.NoError(t, err)
	return pair
}

func tells(t *testing.T, addr string, files directory) {
	plain, err := dial(t, addr, files.trusting(t))
	require.NoError(t, err)
	assert.Equal(t, "hello a client without a certificate, this is \"localhost\", TLS 1.3, protocol \"\"\n", plain.line(t))
	plain.asks(t, "as it is", "as it is")

	config := files.trusting(t)
	config.Certificates = []tls.Certificate{files.pair(t, "client")}
	config.NextProtos, config.MaxVersion = []string{"other", "upper"}, tls.VersionTLS12
	known, err := dial(t, addr, config)
	require.NoError(t, err)
	assert.Equal(t, "hello ada, this is \"localhost\", TLS 1.2, protocol \"upper\"\n", known.line(t))
	known.asks(t, "louder", "LOUDER")
}

func refuses(t *testing.T, addr string, files directory) {
	stranger := directory(t.TempDir())
	require.NoError(t, stranger.fill())
	config := files.trusting(t)
	pair := stranger.pair(t, "client")
	// A client sends no certificate of which it knows that it will be refused, unless it has to.
	config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	c, err := dial(t, addr, config)
	if err == nil {
		_, err = c.lines.ReadString('\n')
	}
	assert.Error(t, err, "the certificate of another authority")

	config = files.trusting(t)
	config.NextProtos = []string{"h2"}
	_, err = dial(t, addr, config)
	assert.ErrorContains(t, err, "no application protocol")
}

// renews: the next handshake shows the new certificate, and a connection that was open before goes
// on. A file that holds none changes nothing.
func renews(t *testing.T, path string, p *program.Program, files directory) {
	if runtime.GOOS == "windows" {
		t.Skip("no SIGHUP")
	}
	addr := p.Addr(t)
	before, err := dial(t, addr, files.trusting(t))
	require.NoError(t, err)
	before.line(t)

	assert.Zero(t, program.Start(t, path, "-dir", string(files), "-renew").Wait(t))
	p.Signal(t, syscall.SIGHUP)
	p.AwaitStderr(t, "the certificate was loaded again")
	after, err := dial(t, addr, files.trusting(t))
	require.NoError(t, err)
	assert.NotEqual(t, before.serial(), after.serial())
	assert.Equal(t, files.pair(t, "server").Leaf.SerialNumber.String(), after.serial())
	before.asks(t, "still here", "still here")

	require.NoError(t, os.WriteFile(files.path("server.pem"), []byte("no certificate"), 0o600))
	p.Signal(t, syscall.SIGHUP)
	p.AwaitStderr(t, "the certificate stays")
	again, err := dial(t, addr, files.trusting(t))
	require.NoError(t, err)
	assert.Equal(t, after.serial(), again.serial())
	require.NoError(t, files.renew())
}

// servesOpenSSL is the command of the program's description.
func servesOpenSSL(t *testing.T, addr string, files directory) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	command := exec.CommandContext(t.Context(), path, strings.Fields(fmt.Sprintf(
		"s_client -quiet -verify_return_error -connect %s -CAfile %s -servername localhost -alpn upper -cert %s -key %s",
		addr, files.path("ca.pem"), files.path("client.pem"), files.path("client-key.pem")))...)
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	s := program.StartCommand(t, command)
	assert.Equal(t, `, this is "localhost", TLS 1.3, protocol "upper"`, s.AwaitStdout(t, "hello ada"))
	_, err = io.WriteString(stdin, "louder\n")
	require.NoError(t, err)
	s.AwaitStdout(t, "LOUDER")
	require.NoError(t, stdin.Close())
}
