package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/cli"
	"github.com/go-berth/berth/examples/internal/program"
)

// start runs the program with a certificate that the returned configuration trusts.
func start(t *testing.T, path string, arguments ...string) (p *program.Program, addr string, trusting *tls.Config) {
	t.Helper()
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	pair, err := cli.SelfSigned()
	require.NoError(t, err)
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
	certificate, err := x509.ParseCertificate(pair.Certificate[0])
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	arguments = append([]string{"-addr", "127.0.0.1:0", "-tls-cert", certFile, "-tls-key", keyFile}, arguments...)
	p = program.Start(t, path, arguments...)
	return p, p.Addr(t), &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
}

func TestSMTP(t *testing.T) {
	path := program.Build(t, ".")
	t.Run("a sending client of the standard library", func(t *testing.T) { sends(t, path) })
	t.Run("a command behind STARTTLS ends the connection", func(t *testing.T) { commandBehind(t, path) })
	t.Run("the dialogue in pieces", func(t *testing.T) { inPieces(t, path) })
	t.Run("many short commands at once", func(t *testing.T) { manyAtOnce(t, path) })
}

// manyAtOnce: the answers to the commands of one read are longer than the write buffer.
func manyAtOnce(t *testing.T, path string) {
	const commands = 20_000
	_, addr, _ := start(t, path)
	conn := program.DialTCP(t, addr)
	_, err := io.WriteString(conn, strings.Repeat("\r\n", commands)+"QUIT\r\n")
	require.NoError(t, err)
	answers, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, 1+commands+1, strings.Count(string(answers), "\r\n"))
}

// sends: net/smtp is the client.
func sends(t *testing.T, path string) {
	dir := t.TempDir()
	p, addr, trusting := start(t, path, "-dir", dir)
	client, err := smtp.NewClient(program.DialTCP(t, addr), "localhost")
	require.NoError(t, err)
	assert.ErrorContains(t, client.Mail("before@example.org"), "STARTTLS first")
	offered, _ := client.Extension("STARTTLS")
	require.True(t, offered)
	require.NoError(t, client.StartTLS(trusting))
	state, secured := client.TLSConnectionState()
	require.True(t, secured && state.HandshakeComplete)
	offered, _ = client.Extension("STARTTLS")
	assert.False(t, offered, "not again")

	const text = "Subject: dots\r\n\r\n.\r\n..two\r\nand lines\r\n"
	for range 2 {
		require.NoError(t, client.Mail("from@example.org"))
		require.NoError(t, client.Rcpt("one@example.org"))
		require.NoError(t, client.Rcpt("two@example.org"))
		body, err := client.Data()
		require.NoError(t, err)
		_, err = io.WriteString(body, text)
		require.NoError(t, err)
		require.NoError(t, body.Close())
	}
	p.AwaitStdout(t, `mail 2 from "from@example.org" to "one@example.org two@example.org": 38 bytes`)

	require.NoError(t, client.Mail("from@example.org"))
	require.NoError(t, client.Rcpt("one@example.org"))
	body, err := client.Data()
	require.NoError(t, err)
	_, err = io.WriteString(body, strings.Repeat("a line of text\r\n", mostBytes/16+1))
	require.NoError(t, err)
	assert.ErrorContains(t, body.Close(), "the mail is too long")
	require.NoError(t, client.Quit())

	files, err := filepath.Glob(filepath.Join(dir, "*.eml"))
	require.NoError(t, err)
	require.Len(t, files, 2)
	got, err := os.ReadFile(files[0])
	require.NoError(t, err)
	assert.Equal(t, text, string(got))
	p.Signal(t, os.Interrupt)
	assert.Zero(t, p.Wait(t))
}

// commandBehind: a party in the middle has put a command behind STARTTLS. It must not be taken for
// one that came encrypted.
func commandBehind(t *testing.T, path string) {
	_, addr, trusting := start(t, path)
	conn := program.DialTCP(t, addr)
	lines := textproto.NewReader(bufio.NewReader(conn))
	expect := func(code int) {
		t.Helper()
		_, _, err := lines.ReadResponse(code)
		require.NoError(t, err)
	}
	expect(220)
	_, err := io.WriteString(conn, "EHLO client\r\n")
	require.NoError(t, err)
	expect(250)
	_, err = io.WriteString(conn, "STARTTLS\r\nRSET\r\nMAIL FROM:<evil@example.org>\r\n")
	require.NoError(t, err)
	err = tls.Client(conn, trusting).Handshake()
	assert.Error(t, err)
	assert.NotErrorIs(t, err, os.ErrDeadlineExceeded)
}

// inPieces: each answer, in plain text and over TLS.
func inPieces(t *testing.T, path string) {
	_, addr, trusting := start(t, path)
	conn := program.DialTCP(t, addr)
	read := bufio.NewReader(conn)
	say := func(to io.Writer, from *bufio.Reader, line, answer string) {
		t.Helper()
		for _, piece := range []string{line[:1], line[1:], "\r", "\n"} {
			_, err := io.WriteString(to, piece)
			require.NoError(t, err)
		}
		got, err := from.ReadString('\n')
		require.NoError(t, err)
		assert.Equal(t, answer+"\r\n", got)
	}
	greeting, err := read.ReadString('\n')
	require.NoError(t, err)
	assert.Equal(t, "220 localhost ESMTP\r\n", greeting)
	say(conn, read, "HELO client", "250 localhost")
	say(conn, read, "VRFY x", "500 5.5.2 unknown command")
	say(conn, read, "STARTTLS", "220 2.0.0 ready to start TLS")
	secured := tls.Client(conn, trusting)
	read = bufio.NewReader(secured)
	say(secured, read, "MAIL FROM:<a@b>", "503 5.5.1 EHLO first") // what was said before is forgotten
	say(secured, read, "HELO client", "250 localhost")
	say(secured, read, "STARTTLS", "503 5.5.1 TLS is on already")
	say(secured, read, "RCPT TO:<a@b>", "503 5.5.1 MAIL first")
	say(secured, read, "MAIL a@b", "501 5.5.4 MAIL FROM:<address>")
	say(secured, read, "mail from:<> SIZE=3", "250 2.1.0 OK")
	say(secured, read, "MAIL FROM:<a@b>", "503 5.5.1 one mail at a time")
	say(secured, read, "DATA", "503 5.5.1 RCPT first")
	say(secured, read, "RCPT TO:<>", "501 5.5.4 RCPT TO:<address>")
	say(secured, read, "RSET", "250 2.0.0 OK")
	say(secured, read, "QUIT", "221 2.0.0 bye")
	_, err = read.ReadByte()
	assert.ErrorIs(t, err, io.EOF)
}
