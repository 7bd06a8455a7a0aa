package servers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Case is a known server with its own client.
type Case struct {
	Name string

	// Serve serves l until stop is called. stop returns once the server has stopped accepting and
	// closed its connections; it returns an error if the server ended otherwise than by stop.
	Serve func(l net.Listener, certificate tls.Certificate) (stop func() error)

	// own serves in the place of Serve, where the kind of listener is one of Berth's: for a server
	// that does not need the bridge. Nil: Serve serves on the bridge.
	own func(kind string, system *actor.ActorSystem, certificate tls.Certificate) (addr string, stop func() error, err error)

	// Dial returns a client of the server at addr, which has this certificate.
	Dial func(addr string, certificate *x509.Certificate) (Client, error)

	// Talk uses many of the server's features and returns what the client saw, in lines. Two
	// servers that work the same way give the same lines.
	Talk func(addr string, certificate *x509.Certificate) ([]string, error)
}

// Client is a client of one server. One goroutine at a time may use it.
type Client interface {
	// Exchange sends a payload and requires the server's answer to it.
	Exchange(payload []byte) error
	Close() error
}

// All returns the cases, those of the table in docs/netconn.md first.
func All() []Case {
	return []Case{web(), web2(), secureShell(), mail(), queue(), greeter(), store(), hijacker(), webSocket(), tlsEcho()}
}

// Start serves on a listener of a kind, on a free port of 127.0.0.1. stop ends the server and waits
// for the end of everything that it started.
func (c Case) Start(kind string, system *actor.ActorSystem, certificate tls.Certificate) (addr string, stop func() error, err error) {
	if c.own != nil && kind != "net" {
		return c.own(kind, system, certificate)
	}
	l, ended, err := Listen(kind, system)
	if err != nil {
		return "", nil, err
	}
	end := c.Serve(l, certificate)
	return l.Addr().String(), func() error {
		err := end()
		ctx, cancel := context.WithTimeout(context.Background(), Timeout)
		defer cancel()
		return errors.Join(err, ended(ctx))
	}, nil
}

// Timeout bounds every wait of a client, so that a server that does not answer is an error.
const Timeout = time.Minute

// client is a Client of two functions.
type client struct {
	exchange func(payload []byte) error
	close    func() error
}

func (c client) Exchange(payload []byte) error { return c.exchange(payload) }
func (c client) Close() error                  { return c.close() }

// running serves on a goroutine of its own. The returned function has end stop the server, waits
// for serve and requires the error that a stopped server gives.
func running(serve, end func() error, stopped ...error) (stop func() error) {
	done := make(chan error, 1)
	go func() { done <- serve() }()
	return sync.OnceValue(func() error {
		err := end()
		served := <-done
		for _, expected := range append(stopped, nil) {
			if errors.Is(served, expected) {
				served = nil
			}
		}
		return errors.Join(err, served)
	})
}

// trusting returns a client's configuration that trusts this certificate only.
func trusting(certificate *x509.Certificate) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return &tls.Config{RootCAs: roots, ServerName: certificate.DNSNames[0], MinVersion: tls.VersionTLS13}
}

// dial is a connection with Timeout as its deadline.
func dial(addr string) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp", addr, Timeout)
	if err != nil {
		return nil, err
	}
	return c.(*net.TCPConn), c.SetDeadline(time.Now().Add(Timeout))
}

// same requires the payload back.
func same(sent, got []byte) error {
	if !bytes.Equal(sent, got) {
		return fmt.Errorf("%d bytes were sent, and %d others came back", len(sent), len(got))
	}
	return nil
}

// Payload returns n bytes that differ from place to place. None of them is a line feed or a dot.
func Payload(n int) []byte {
	p := make([]byte, n)
	for i := range p {
		p[i] = 'a' + byte((i+i/251)%26)
	}
	return p
}

// talk collects the lines of a Talk. After an error it collects no more.
type talk struct {
	lines []string
	err   error
}

func (t *talk) sayf(format string, values ...any) {
	t.lines = append(t.lines, fmt.Sprintf(format, values...))
}

// step runs one part of a Talk.
func (t *talk) step(name string, do func() error) {
	if t.err == nil {
		if err := do(); err != nil {
			t.err = fmt.Errorf("%s: %w", name, err)
		}
	}
}

func (t *talk) result() ([]string, error) { return t.lines, t.err }
