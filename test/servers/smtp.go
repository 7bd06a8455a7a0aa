package servers

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net"
	"strings"

	"github.com/emersion/go-smtp"
)

// mail is emersion/go-smtp with its own client. Each mail is sent after STARTTLS.
func mail() Case {
	return Case{
		Name: "go-smtp, STARTTLS",
		Serve: func(l net.Listener, certificate tls.Certificate) func() error {
			server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
				return &postbox{conn: c}, nil
			}))
			server.Domain = certificate.Leaf.DNSNames[0]
			server.ErrorLog = log.New(io.Discard, "", 0)
			server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13}
			return running(func() error { return server.Serve(l) }, server.Close, smtp.ErrServerClosed)
		},
		Dial: func(addr string, certificate *x509.Certificate) (Client, error) {
			c, err := startedTLS(addr, certificate)
			if err != nil {
				return nil, err
			}
			return client{
				exchange: func(payload []byte) error {
					answer, err := deliver(c, payload)
					if err == nil && answer != receipt(payload, true) {
						err = fmt.Errorf("the answer is %q", answer)
					}
					return err
				},
				close: c.Quit,
			}, nil
		},
		Talk: talkMail,
	}
}

// postbox is the server's session. Its answer to a mail tells what came.
type postbox struct{ conn *smtp.Conn }

func (*postbox) Reset()        {}
func (*postbox) Logout() error { return nil }

func (*postbox) Mail(string, *smtp.MailOptions) error { return nil }

func (*postbox) Rcpt(to string, _ *smtp.RcptOptions) error {
	if !strings.HasSuffix(to, "@berth.test") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}
	}
	return nil
}

func (p *postbox) Data(r io.Reader) error {
	body, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	_, secured := p.conn.TLSConnectionState()
	body = bytes.ReplaceAll(body, []byte("\r\n"), nil)
	return &smtp.SMTPError{Code: 250, EnhancedCode: smtp.EnhancedCode{2, 0, 0}, Message: receipt(body, secured)}
}

func receipt(body []byte, secured bool) string {
	return fmt.Sprintf("%d bytes, %08x, secured %v", len(body), crc32.ChecksumIEEE(body), secured)
}

func startedTLS(addr string, certificate *x509.Certificate) (*smtp.Client, error) {
	conn, err := net.DialTimeout("tcp", addr, Timeout)
	if err != nil {
		return nil, err
	}
	c, err := smtp.NewClientStartTLS(conn, trusting(certificate))
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return c, nil
}

func deliver(c *smtp.Client, body []byte) (answer string, err error) {
	if err := c.Mail("a@berth.test", nil); err != nil {
		return "", err
	}
	if err := c.Rcpt("b@berth.test", nil); err != nil {
		return "", err
	}
	w, err := c.Data()
	if err != nil {
		return "", err
	}
	for len(body) > 0 { // lines of SMTP have a longest length
		n := min(len(body), 76)
		if _, err := fmt.Fprintf(w, "%s\r\n", body[:n]); err != nil {
			return "", err
		}
		body = body[n:]
	}
	response, err := w.CloseWithResponse()
	if err != nil {
		return "", err
	}
	return strings.TrimPrefix(response.StatusText, "2.0.0 "), nil
}

func talkMail(addr string, certificate *x509.Certificate) ([]string, error) {
	t := &talk{}
	t.step("without TLS", func() error {
		c, err := smtp.Dial(addr)
		if err != nil {
			return err
		}
		answer, err := deliver(c, Payload(10))
		t.sayf("%s", answer)
		return errors.Join(err, c.Quit())
	})
	t.step("with TLS", func() error {
		c, err := startedTLS(addr, certificate)
		if err != nil {
			return err
		}
		again, _ := c.Extension("STARTTLS")
		t.sayf("STARTTLS offered again: %v", again)
		for _, size := range []int{1, 1000, 4 << 20} {
			answer, err := deliver(c, Payload(size))
			if err != nil {
				return err
			}
			t.sayf("%s", answer)
		}
		if err := c.Mail("a@berth.test", nil); err != nil {
			return err
		}
		t.sayf("%v", c.Rcpt("b@elsewhere.test", nil))
		return errors.Join(c.Reset(), c.Noop(), c.Quit())
	})
	t.step("no handshake behind STARTTLS", func() error {
		c, err := dial(addr)
		if err != nil {
			return err
		}
		defer c.Close()
		if _, err := io.WriteString(c, "EHLO a\r\nSTARTTLS\r\n"); err != nil {
			return err
		}
		r := bufio.NewReader(c)
		for line := ""; !strings.HasPrefix(line, "220 2.0.0"); {
			if line, err = r.ReadString('\n'); err != nil {
				return err
			}
		}
		if _, err := io.WriteString(c, "NOOP\r\nNOOP\r\n"); err != nil {
			return err
		}
		line, err := r.ReadString('\n')
		t.sayf("%q", line)
		return err
	})
	return t.result()
}
