// Smtp receives mail. It shows StartTLS: a dialogue in plain text, the switch to TLS on the same
// connection, and the same dialogue encrypted. Mail is taken over TLS only.
//
//	go run ./examples/smtp -dir /tmp/mail
//	openssl s_client -starttls smtp -connect 127.0.0.1:7025 -crlf
//
// Without -tls-cert and -tls-key it makes a certificate for this machine, for a day. SMTP needs
// nothing else of Berth: a mail server also needs users, queues and a great deal of caution.
package main

import (
	"crypto/tls"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/internal/cli"
)

func main() { cli.Run("smtp", run) }

func run(p *cli.Program) error {
	addr := p.Flags.String("addr", "127.0.0.1:7025", "address to listen on")
	dir := p.Flags.String("dir", "", "directory for the mails, a file each; without it they are counted only")
	cert := p.Flags.String("tls-cert", "", "file with the certificate, PEM; read again at SIGHUP")
	key := p.Flags.String("tls-key", "", "file with its key, PEM")
	if err := p.Begin(); err != nil {
		return err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case (*cert == "") != (*key == ""):
		return p.Errorf("-tls-cert and -tls-key go together")
	case *cert != "":
		certificate, err := berth.LoadCertificate(*cert, *key)
		if err != nil {
			return err
		}
		config.GetCertificate = certificate.Get
		stop := p.ReloadOnHangup(certificate.Reload)
		defer stop()
	default:
		certificate, err := cli.SelfSigned()
		if err != nil {
			return err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	deliver := deliverTo(*dir)
	handler := berth.Handlers(func() berth.Handler { return &session{config: config, deliver: deliver} })
	options := berth.Options{Connection: berth.ConnectionOptions{IdleTimeout: 5 * time.Minute}} // RFC 5321, 4.5.3.2.7
	server, err := berth.Listen(*addr, handler, options)
	if err != nil {
		return err
	}
	return p.Serve(server)
}

// deliverTo returns a function that writes each mail to a file in dir, and says so on standard
// output. Any goroutine may call it.
func deliverTo(dir string) func(*mail) error {
	var count atomic.Int64
	return func(m *mail) error {
		n := count.Add(1)
		if dir != "" {
			name := filepath.Join(dir, fmt.Sprintf("%d-%d.eml", os.Getpid(), n))
			if err := os.WriteFile(name, m.text.Bytes(), 0o600); err != nil {
				log.Print(err)
				return err
			}
		}
		fmt.Printf("mail %d from %q to %q: %d bytes\n", n, m.from, strings.Join(m.to, " "), m.text.Len())
		return nil
	}
}
