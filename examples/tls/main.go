// Tls serves lines over TLS. It shows a certificate that is replaced while the server runs, clients
// that show certificates of their own, and what a handler learns of its connection from Socket.TLS.
//
//	go run ./examples/tls -dir /tmp/tls
//	openssl s_client -quiet -connect 127.0.0.1:7005 -servername localhost -alpn upper \
//	  -CAfile /tmp/tls/ca.pem -cert /tmp/tls/client.pem -key /tmp/tls/client-key.pem
//
// The directory gets a certificate authority, and what it has signed: a certificate for the server,
// one for a client. A new one for the server, without a restart:
//
//	go run ./examples/tls -dir /tmp/tls -renew
//	pkill -HUP tls
package main

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/internal/cli"
)

func main() { cli.Run("tls", run) }

func run(p *cli.Program) error {
	addr := p.Flags.String("addr", "127.0.0.1:7005", "address to listen on")
	dir := p.Flags.String("dir", "", "directory of the certificates, which are made where there are none (default: one for this run)")
	renew := p.Flags.Bool("renew", false, "write a new certificate for the server into -dir, and end")
	require := p.Flags.Bool("require", false, "refuse clients without a certificate")
	if err := p.Begin(); err != nil {
		return err
	}
	files := directory(*dir)
	switch {
	case *renew && files == "":
		return p.Errorf("-renew needs -dir")
	case *renew:
		return files.renew()
	case files == "":
		made, err := os.MkdirTemp("", "tls")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(made) }()
		files = directory(made)
	}
	if err := files.fill(); err != nil {
		return err
	}
	p.Log.Info("certificates", "dir", string(files))

	certificate, err := berth.LoadCertificate(files.path("server.pem"), files.path("server-key.pem"))
	if err != nil {
		return err
	}
	stop := p.ReloadOnHangup(certificate.Reload) // connections go on; where it fails, the old one stays
	defer stop()
	config, err := configuration(certificate, files, *require)
	if err != nil {
		return err
	}
	options := berth.Options{TLSConfig: config, Connection: berth.ConnectionOptions{IdleTimeout: 5 * time.Minute}}
	server, err := berth.Listen(*addr, berth.Handlers(func() berth.Handler { return &lines{} }), options)
	if err != nil {
		return err
	}
	return p.Serve(server) // drains on the first signal, aborts on the second
}

// configuration is one of crypto/tls, as for every server.
func configuration(certificate *berth.Certificate, files directory, require bool) (*tls.Config, error) {
	authority, err := os.ReadFile(files.path("ca.pem"))
	if err != nil {
		return nil, err
	}
	clients := x509.NewCertPool()
	clients.AppendCertsFromPEM(authority)
	config := &tls.Config{
		GetCertificate: certificate.Get, // of each handshake, so a reload is seen by the next one
		ClientCAs:      clients,
		ClientAuth:     tls.VerifyClientCertIfGiven,
		NextProtos:     []string{upper, "lines"},
		MinVersion:     tls.VersionTLS12,
	}
	if require {
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}
