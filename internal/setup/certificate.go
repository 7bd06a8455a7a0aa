package setup

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"time"
)

// Certificate returns a self-signed certificate for the names. It is valid at any time: the clock
// of a bubble begins in the year 2000.
func Certificate(names ...string) tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: names, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// one is the certificate of most tests: to make it takes time.
var one = sync.OnceValue(func() tls.Certificate { return Certificate(Name) })

// Name is that of the server that TLS knows.
const Name = "berth.test"

// TLS returns a server's configuration, and that of a client that trusts it. The caller may change
// them.
func TLS() (server, client *tls.Config) {
	certificate := one()
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate.Leaf)
	return &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13},
		&tls.Config{RootCAs: trusted, ServerName: Name, MinVersion: tls.VersionTLS13}
}
