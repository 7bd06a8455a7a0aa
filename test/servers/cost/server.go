package main

import (
	"bufio"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/servers"
)

func (o options) start(kind string, c servers.Case) (remote, error) {
	if o.together {
		return startHere(kind, c)
	}
	return startChild(kind, c)
}

// here is a server in this process.
type here struct {
	at   string
	leaf *x509.Certificate
	stop func() error
}

func startHere(kind string, c servers.Case) (*here, error) {
	certificate := setup.Certificate(setup.Name)
	addr, stop, err := c.Start(kind, setup.System(), certificate)
	if err != nil {
		return nil, err
	}
	return &here{addr, certificate.Leaf, stop}, nil
}

func (h *here) addr() string                   { return h.at }
func (h *here) certificate() *x509.Certificate { return h.leaf }
func (h *here) used() (time.Duration, error)   { return processorTime() }
func (h *here) end() error                     { return h.stop() }

// serves is the environment variable that makes this program a server: kind and name.
const serves = "BERTH_SERVES"

// serve is the server's process. It prints its address and certificate, then its processor time for
// each line that comes, and ends with its input.
func serve(kind, name string) error {
	for _, c := range servers.All() {
		if c.Name != name {
			continue
		}
		h, err := startHere(kind, c)
		if err != nil {
			return err
		}
		fmt.Println(h.at, base64.StdEncoding.EncodeToString(h.leaf.Raw))
		for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
			used, err := h.used()
			if err != nil {
				return err
			}
			fmt.Println(used.Nanoseconds())
		}
		return h.end()
	}
	return fmt.Errorf("there is no server %q", name)
}

// child is a server in a process of its own.
type child struct {
	here
	process *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Reader
}

func startChild(kind string, c servers.Case) (_ *child, err error) {
	s := &child{process: exec.Command(os.Args[0])}
	s.process.Env = append(os.Environ(), serves+"="+kind+":"+c.Name)
	s.process.Stderr = os.Stderr
	if s.ask, err = s.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.answers = bufio.NewReader(out)
	if err := s.process.Start(); err != nil {
		return nil, err
	}
	if err := s.greeted(); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

func (s *child) greeted() error {
	var encoded string
	if _, err := fmt.Fscanln(s.answers, &s.at, &encoded); err != nil {
		return err
	}
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return err
	}
	s.leaf, err = x509.ParseCertificate(raw)
	return err
}

func (s *child) used() (time.Duration, error) {
	if _, err := fmt.Fprintln(s.ask); err != nil {
		return 0, err
	}
	var nanoseconds int64
	_, err := fmt.Fscanln(s.answers, &nanoseconds)
	return time.Duration(nanoseconds), err
}

func (s *child) end() error { return errors.Join(s.ask.Close(), s.process.Wait()) }
