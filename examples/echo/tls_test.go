package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/cli"
	"github.com/go-berth/berth/examples/internal/program"
)

// secured asks the server over TLS and returns the certificate that it shows.
func secured(t *testing.T, addr string) *x509.Certificate {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	defer conn.Close()
	assertEchoes(t, conn, "over TLS")
	return conn.ConnectionState().PeerCertificates[0]
}

// servesTLS: a certificate for this run, or one from files, which SIGHUP reads again.
func servesTLS(t *testing.T, path string) {
	p := program.Start(t, path, "-addr", "127.0.0.1:0", "-tls")
	assert.Contains(t, secured(t, p.Addr(t)).DNSNames, "localhost")
	t.Run("to openssl", func(t *testing.T) { servesOpenSSL(t, p.Addr(t)) })

	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	write := func() (serial string) {
		pair, err := cli.SelfSigned()
		require.NoError(t, err)
		key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), 0o600))
		require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}), 0o600))
		parsed, err := x509.ParseCertificate(pair.Certificate[0])
		require.NoError(t, err)
		return parsed.SerialNumber.String()
	}
	first := write()
	p = program.Start(t, path, "-addr", "127.0.0.1:0", "-tls-cert", certFile, "-tls-key", keyFile)
	assert.Equal(t, first, secured(t, p.Addr(t)).SerialNumber.String())
	if runtime.GOOS == "windows" {
		return // no SIGHUP
	}
	second := write()
	p.Signal(t, syscall.SIGHUP)
	p.AwaitStderr(t, "the certificate was loaded again")
	assert.Equal(t, second, secured(t, p.Addr(t)).SerialNumber.String())
	require.NoError(t, os.WriteFile(certFile, nil, 0o600))
	p.Signal(t, syscall.SIGHUP)
	p.AwaitStderr(t, "the certificate stays")
	assert.Equal(t, second, secured(t, p.Addr(t)).SerialNumber.String())
}

// servesOpenSSL: what is typed into s_client comes back.
func servesOpenSSL(t *testing.T, addr string) {
	path, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("openssl is not installed")
	}
	command := exec.CommandContext(t.Context(), path, "s_client", "-quiet", "-connect", addr)
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	client := program.StartCommand(t, command)
	for _, line := range []string{"hello", "a second line"} {
		_, err = io.WriteString(stdin, line+"\n")
		require.NoError(t, err)
		client.AwaitStdout(t, line)
	}
	require.NoError(t, stdin.Close())
}
