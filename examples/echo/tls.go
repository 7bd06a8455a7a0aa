package main

import (
	"crypto/tls"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/internal/cli"
)

// secure sets TLS as the flags ask for it. reload, if not nil, reads the certificate's files again.
func (c *config) secure(p *cli.Program) (reload func() error, err error) {
	switch {
	case (c.cert == "") != (c.key == ""):
		return nil, p.Errorf("-tls-cert and -tls-key go together")
	case c.cert != "":
		certificate, err := berth.LoadCertificate(c.cert, c.key)
		if err != nil {
			return nil, err
		}
		c.options.TLSConfig = &tls.Config{GetCertificate: certificate.Get, MinVersion: tls.VersionTLS12}
		return certificate.Reload, nil
	case c.tls:
		certificate, err := cli.SelfSigned()
		if err != nil {
			return nil, err
		}
		c.options.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	}
	return nil, nil
}
