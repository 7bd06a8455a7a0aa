package servers

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
)

// hijacker is net/http with a handler that takes the connection over. It mirrors in capitals what
// comes until the client's FIN, and then sends its own. With "/first" its FIN comes first.
func hijacker() Case {
	return Case{
		Name: "hijack, half-close",
		Serve: func(l net.Listener, _ tls.Certificate) func() error {
			return serveHTTP(l, http.HandlerFunc(hijacked))
		},
		Dial: func(addr string, _ *x509.Certificate) (Client, error) {
			return client{
				exchange: func(payload []byte) error {
					_, got, err := upgraded(addr, "/", payload)
					if err != nil {
						return err
					}
					return same(bytes.ToUpper(payload), got)
				},
				close: func() error { return nil },
			}, nil
		},
		Talk: talkHijacked,
	}
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: mirror\r\nConnection: Upgrade\r\n\r\n"

func hijacked(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	half, ok := conn.(interface{ CloseWrite() error })
	if !ok {
		return // the client finds no 101
	}
	if _, err := io.WriteString(conn, switching); err != nil {
		return
	}
	if r.URL.Path == "/first" {
		_, _ = io.WriteString(conn, "my last words")
		if half.CloseWrite() != nil {
			return
		}
		_, _ = io.Copy(io.Discard, buffered) // up to the client's FIN; the FIN of a close would not differ from ours
		return
	}
	all, err := io.ReadAll(buffered)
	if err != nil {
		return
	}
	if _, err := conn.Write(bytes.ToUpper(all)); err != nil {
		return
	}
	_ = half.CloseWrite()
}

// upgraded sends half of the payload with the request and half after the answer, and then FIN. It
// returns what came up to the server's FIN.
func upgraded(addr, path string, payload []byte) (status string, got []byte, err error) {
	c, err := dial(addr)
	if err != nil {
		return "", nil, err
	}
	defer c.Close()
	early := payload[:len(payload)/2]
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: a\r\nUpgrade: mirror\r\nConnection: Upgrade\r\n\r\n%s", path, early); err != nil {
		return "", nil, err
	}
	r := bufio.NewReader(c)
	response, err := http.ReadResponse(r, nil)
	if err != nil {
		return "", nil, err
	}
	if path == "/first" { // all that the server sends comes before anything more from here
		if got, err = io.ReadAll(r); err != nil {
			return "", nil, err
		}
	}
	if _, err := c.Write(payload[len(early):]); err != nil {
		return "", nil, err
	}
	if err := c.CloseWrite(); err != nil {
		return "", nil, err
	}
	rest, err := io.ReadAll(r)
	return response.Status, append(got, rest...), err
}

func talkHijacked(addr string, _ *x509.Certificate) ([]string, error) {
	t := &talk{}
	for _, size := range []int{0, 1, 100, 1 << 20} {
		t.step("the client's FIN first", func() error {
			payload := Payload(size)
			status, got, err := upgraded(addr, "/", payload)
			t.sayf("%s, %d bytes, in capitals %v", status, len(got), same(bytes.ToUpper(payload), got) == nil)
			return err
		})
	}
	t.step("the server's FIN first", func() error {
		status, got, err := upgraded(addr, "/first", Payload(1<<20))
		t.sayf("%s, %q", status, got)
		return err
	})
	return t.result()
}
