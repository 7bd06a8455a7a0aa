package servers

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/gliderlabs/ssh"
	gossh "golang.org/x/crypto/ssh"
)

// secureShell is gliderlabs/ssh with the client of golang.org/x/crypto. Its host key is that of the
// certificate.
func secureShell() Case {
	return Case{
		Name: "gliderlabs/ssh",
		Serve: func(l net.Listener, certificate tls.Certificate) func() error {
			server := &ssh.Server{
				Handler:         sshSession,
				PasswordHandler: func(_ ssh.Context, password string) bool { return password == "right" },
				PtyCallback:     func(ssh.Context, ssh.Pty) bool { return true },
			}
			signer, err := gossh.NewSignerFromKey(certificate.PrivateKey)
			if err != nil {
				return func() error { return errors.Join(err, l.Close()) }
			}
			server.AddHostKey(signer)
			return running(func() error { return server.Serve(l) }, func() error {
				err := server.Close()
				if err == nil { // Close leaves handshakes that are under way; each ends with its client
					err = server.Shutdown(context.Background())
				}
				if errors.Is(err, net.ErrClosed) {
					return nil // a listener closed twice
				}
				return err
			}, ssh.ErrServerClosed)
		},
		Dial: func(addr string, certificate *x509.Certificate) (Client, error) {
			c, err := sshDial(addr, certificate, "right")
			if err != nil {
				return nil, err
			}
			return client{
				exchange: func(payload []byte) error {
					s, err := c.NewSession()
					if err != nil {
						return err
					}
					defer s.Close()
					s.Stdin = bytes.NewReader(payload)
					got, err := s.Output("mirror 0")
					if err != nil {
						return err
					}
					return same(payload, got)
				},
				close: c.Close,
			}, nil
		},
		Talk: talkSSH,
	}
}

// sshSession mirrors its input, says how much that was on the error stream, and exits with the
// status that the command names.
func sshSession(s ssh.Session) {
	pty, _, interactive := s.Pty()
	if interactive {
		_, _ = fmt.Fprintf(s, "%s %dx%d\n", pty.Term, pty.Window.Width, pty.Window.Height)
	}
	n, _ := io.Copy(s, s)
	_, _ = fmt.Fprintf(s.Stderr(), "%d bytes", n)
	status := 0
	if len(s.Command()) > 1 {
		status, _ = strconv.Atoi(s.Command()[1])
	}
	_ = s.Exit(status)
}

func sshDial(addr string, certificate *x509.Certificate, password string) (*gossh.Client, error) {
	key, err := gossh.NewPublicKey(certificate.PublicKey.(*ecdsa.PublicKey))
	if err != nil {
		return nil, err
	}
	return gossh.Dial("tcp", addr, &gossh.ClientConfig{
		User: "berth", Auth: []gossh.AuthMethod{gossh.Password(password)},
		HostKeyCallback: gossh.FixedHostKey(key), Timeout: Timeout,
	})
}

func talkSSH(addr string, certificate *x509.Certificate) ([]string, error) {
	t := &talk{}
	t.step("a wrong password", func() error {
		c, err := sshDial(addr, certificate, "wrong")
		if err == nil {
			return errors.Join(errors.New("it was taken"), c.Close())
		}
		t.sayf("%v", err)
		return nil
	})
	var c *gossh.Client
	t.step("the right password", func() (err error) {
		c, err = sshDial(addr, certificate, "right")
		return err
	})
	if t.err != nil {
		return t.result()
	}
	defer c.Close()
	t.sayf("server: %s", c.ServerVersion())
	run := func(status, size int, pty bool) error {
		s, err := c.NewSession()
		if err != nil {
			return err
		}
		defer s.Close()
		if pty {
			if err := s.RequestPty("xterm", 24, 80, gossh.TerminalModes{}); err != nil {
				return err
			}
		}
		payload := Payload(size)
		var out, failures bytes.Buffer
		s.Stdin, s.Stdout, s.Stderr = bytes.NewReader(payload), &out, &failures
		err = s.Run(fmt.Sprint("mirror ", status))
		if exit, is := errors.AsType[*gossh.ExitError](err); is {
			t.sayf("exit status %d", exit.ExitStatus())
			err = nil
		}
		head := ""
		if pty {
			head = "xterm 80x24\r\n"
		}
		t.sayf("mirrored %v, %s", out.String() == head+string(payload), failures.String())
		return err
	}
	t.step("a command", func() error { return run(0, 10, false) })
	t.step("a command that fails", func() error { return run(7, 0, false) })
	t.step("4 MiB", func() error { return run(0, 4<<20, false) })
	t.step("a terminal", func() error { return run(0, 100, true) })
	t.step("sessions at once", func() error {
		done := make(chan error)
		const sessions = 8
		for range sessions {
			go func() {
				s, err := c.NewSession()
				if err != nil {
					done <- err
					return
				}
				defer s.Close()
				s.Stdin = bytes.NewReader(Payload(100_000))
				got, err := s.Output("mirror 0")
				done <- errors.Join(err, same(Payload(100_000), got))
			}()
		}
		var failed error
		for range sessions {
			failed = errors.Join(failed, <-done)
		}
		return failed
	})
	t.step("an unknown request", func() error {
		ok, _, err := c.SendRequest("keepalive@berth", true, nil)
		t.sayf("keepalive: %v", ok)
		return err
	})
	return t.result()
}
