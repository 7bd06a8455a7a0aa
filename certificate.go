package berth

import (
	"crypto/tls"
	"fmt"
	"sync/atomic"
)

// Certificate is a TLS certificate with its key, from two files that can be loaded again while
// servers use it. Any goroutine may call its methods.
type Certificate struct {
	certFile, keyFile string
	current           atomic.Pointer[tls.Certificate]
}

// LoadCertificate reads the certificate, with its chain, and its key from two files in PEM form.
func LoadCertificate(certFile, keyFile string) (*Certificate, error) {
	c := &Certificate{certFile: certFile, keyFile: keyFile}
	if err := c.Reload(); err != nil {
		return nil, err
	}
	return c, nil
}

// Reload reads the files again, for the handshakes from now on; connections go on. Where there is
// an error, the certificate that was in use before stays. The two files need not be replaced at one
// moment: a pair that does not fit is an error.
func (c *Certificate) Reload() error {
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("berth: the certificate of %q and %q cannot be loaded: %w", c.certFile, c.keyFile, err)
	}
	c.current.Store(&pair)
	return nil
}

// Get is for tls.Config.GetCertificate, at a server.
func (c *Certificate) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// GetClient is for tls.Config.GetClientCertificate, at a client.
func (c *Certificate) GetClient(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}
