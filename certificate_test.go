package berth_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
)

// writePair writes a certificate for a name and its key into two files of a folder.
func writePair(t *testing.T, folder, name string) (certFile, keyFile string) {
	t.Helper()
	pair := setup.Certificate(name)
	secret, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	require.NoError(t, err)
	certFile, keyFile = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	require.NoError(t, os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Leaf.Raw}), 0o600))
	require.NoError(t, os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return certFile, keyFile
}

func TestACertificateIsReloadedAndABadOneKeepsTheOld(t *testing.T) {
	folder := t.TempDir()
	certFile, keyFile := writePair(t, folder, "first")
	certificate, err := berth.LoadCertificate(certFile, keyFile)
	require.NoError(t, err)
	server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(echo), berth.Options{
		TLSConfig: &tls.Config{GetCertificate: certificate.Get, MinVersion: tls.VersionTLS13},
	})
	require.NoError(t, err)
	defer server.Close()
	name := func() string {
		conn, err := tls.Dial("tcp", server.Addr().String(), &tls.Config{InsecureSkipVerify: true})
		require.NoError(t, err)
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	assert.Equal(t, "first", name())

	writePair(t, folder, "second")
	assert.Equal(t, "first", name(), "not before Reload")
	require.NoError(t, certificate.Reload())
	assert.Equal(t, "second", name())

	require.NoError(t, os.WriteFile(certFile, []byte("no certificate"), 0o600))
	assert.ErrorContains(t, certificate.Reload(), fmt.Sprintf("berth: the certificate of %q and %q cannot be loaded: ", certFile, keyFile))
	assert.Equal(t, "second", name())
	_, err = berth.LoadCertificate(certFile, keyFile)
	assert.ErrorContains(t, err, fmt.Sprintf("berth: the certificate of %q and %q cannot be loaded: ", certFile, keyFile))
}

func TestAClientShowsItsCertificate(t *testing.T) {
	folder := t.TempDir()
	certificate, err := berth.LoadCertificate(writePair(t, folder, "client"))
	require.NoError(t, err)
	names := make(chan string, 1)
	server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(func(s berth.Socket, data *berth.Buffer) error {
		names <- s.TLS().PeerCertificates[0].DNSNames[0]
		return echo(s, data)
	}), berth.Options{TLSConfig: &tls.Config{
		GetCertificate: certificate.Get, ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13,
	}})
	require.NoError(t, err)
	defer server.Close()
	socket, err := berth.Dial(t.Context(), server.Addr().String(), berth.HandlerFunc(func(s berth.Socket, _ *berth.Buffer) error {
		return s.Close()
	}), berth.DialOptions{TLSConfig: &tls.Config{
		GetClientCertificate: certificate.GetClient, InsecureSkipVerify: true,
		MinVersion: tls.VersionTLS13,
	}})
	require.NoError(t, err)
	_, err = socket.Write([]byte("hello"))
	require.NoError(t, err)
	assert.Equal(t, "client", <-names)
}
