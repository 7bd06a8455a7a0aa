package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// directory holds the certificates and keys, in PEM form.
type directory string

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

// fill makes what is not there.
func (d directory) fill() error {
	if _, err := os.Stat(d.path("ca.pem")); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	authority := template("certificate authority of an example")
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, key.Public(), key)
	if err != nil {
		return err
	}
	if err := d.write("ca", der, key); err != nil {
		return err
	}
	client := template("ada")
	client.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return errors.Join(d.sign("client", client), d.renew())
}

// renew writes a new certificate for the server.
func (d directory) renew() error {
	server := template("localhost")
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames, server.IPAddresses = []string{"localhost"}, []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	return d.sign("server", server)
}

// sign has the authority sign a certificate with a new key, and writes both.
func (d directory) sign(name string, unsigned *x509.Certificate) error {
	pair, err := tls.LoadX509KeyPair(d.path("ca.pem"), d.path("ca-key.pem"))
	if err != nil {
		return err
	}
	key, err := newKey()
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, unsigned, pair.Leaf, key.Public(), pair.PrivateKey)
	if err != nil {
		return err
	}
	return d.write(name, der, key)
}

// write writes the two files of a certificate.
func (d directory) write(name string, certificate []byte, key crypto.PrivateKey) error {
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(d.path(name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate}), 0o600),
		os.WriteFile(d.path(name+"-key.pem"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
	)
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// template is a certificate for thirty days.
func template(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, 30), KeyUsage: x509.KeyUsageDigitalSignature,
	}
}
