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
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/go-berth/berth"
)

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	addr := flag.String("addr", "127.0.0.1:7025", "address to listen on")
	dir := flag.String("dir", "", "directory for the mails, a file each; without it they are counted only")
	cert := flag.String("tls-cert", "", "file with the certificate, PEM")
	key := flag.String("tls-key", "", "file with its key, PEM")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	config, err := configure(*cert, *key)
	if err != nil {
		return err
	}
	deliver := deliverTo(*dir)
	handler := berth.Handlers(func() berth.Handler { return &session{config: config, deliver: deliver} })
	options := berth.Options{Connection: berth.ConnectionOptions{IdleTimeout: 5 * time.Minute}} // RFC 5321, 4.5.3.2.7
	server, err := berth.Listen(*addr, handler, options)
	if err != nil {
		return err
	}
	fmt.Println("listening on", server.Addr())
	<-ctx.Done()
	return server.Shutdown(context.Background())
}

// configure returns TLS's configuration.
func configure(cert, key string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case (cert == "") != (key == ""):
		return nil, errors.New("smtp: -tls-cert and -tls-key go together")
	case cert != "":
		certificate, err := berth.LoadCertificate(cert, key)
		if err != nil {
			return nil, err
		}
		config.GetCertificate = certificate.Get
	default:
		certificate, err := selfSigned()
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{certificate}
	}
	return config, nil
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
