package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-berth/berth"
)

// secure sets TLS as the flags ask for it. reload, if not nil, reads the certificate's files again.
func (c *config) secure() (reload func() error, err error) {
	switch {
	case (c.cert == "") != (c.key == ""):
		return nil, errors.New("echo: -tls-cert and -tls-key go together")
	case c.cert != "":
		certificate, err := berth.LoadCertificate(c.cert, c.key)
		if err != nil {
			return nil, err
		}
		c.options.TLSConfig = &tls.Config{GetCertificate: certificate.Get, MinVersion: tls.VersionTLS12}
		return certificate.Reload, nil
	case c.tls:
		certificate, err := selfSigned()
		if err != nil {
			return nil, err
		}
		c.options.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	return nil, nil
}

// selfSigned makes a certificate for this machine, for a day. No client trusts it unasked.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// reloadOn reads the certificate again at each SIGHUP, until stop is called. Where that fails the
// old one stays.
func reloadOn(reload func() error, logger *slog.Logger) (stop func()) {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range hangups {
			if err := reload(); err != nil {
				logger.Error("the certificate stays", "error", err)
			} else {
				logger.Info("the certificate was loaded again")
			}
		}
	}()
	return func() {
		signal.Stop(hangups)
		close(hangups)
		<-ended
	}
}
