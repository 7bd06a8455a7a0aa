package servers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"

	"github.com/coder/websocket"
)

// webSocket is an echo of github.com/coder/websocket, over net/http.
func webSocket() Case {
	return Case{
		Name: "WebSocket",
		Serve: func(l net.Listener, _ tls.Certificate) func() error {
			return serveHTTP(l, http.HandlerFunc(echoWebSocket))
		},
		Dial: func(addr string, _ *x509.Certificate) (Client, error) {
			c, err := webSocketDial(addr)
			if err != nil {
				return nil, err
			}
			return client{
				exchange: func(payload []byte) error { return echoed(c, websocket.MessageBinary, payload) },
				close:    func() error { return c.Close(websocket.StatusNormalClosure, "") },
			}, nil
		},
		Talk: talkWebSocket,
	}
}

const largestMessage = 4 << 20

func echoWebSocket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(largestMessage)
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func webSocketDial(addr string) (*websocket.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+addr, nil) //nolint:bodyclose // the library closes it
	if err != nil {
		return nil, err
	}
	c.SetReadLimit(largestMessage)
	return c, nil
}

func echoed(c *websocket.Conn, kind websocket.MessageType, payload []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	sent := make(chan error, 1)
	go func() { sent <- c.Write(ctx, kind, payload) }() // the echo of a large message begins before its end
	got, message, err := c.Read(ctx)
	if err := errors.Join(err, <-sent); err != nil {
		return err
	}
	if got != kind {
		return errors.New("the echo is of another type")
	}
	return same(payload, message)
}

func talkWebSocket(addr string, _ *x509.Certificate) ([]string, error) {
	t := &talk{}
	c, err := webSocketDial(addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = c.CloseNow() }()
	for _, size := range []int{0, 10, 1 << 20} {
		for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
			t.step("echo", func() error {
				t.sayf("%v of %d bytes", kind, size)
				return echoed(c, kind, Payload(size))
			})
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), Timeout)
	defer cancel()
	t.step("ping", func() error {
		ctx := c.CloseRead(ctx) // a pong needs a Read
		return c.Ping(ctx)
	})
	t.step("close", func() error { return c.Close(websocket.StatusNormalClosure, "done") })
	t.step("a message that is too long", func() error {
		c, err := webSocketDial(addr)
		if err != nil {
			return err
		}
		defer func() { _ = c.CloseNow() }()
		_ = c.Write(ctx, websocket.MessageBinary, Payload(largestMessage+1))
		_, _, err = c.Read(ctx)
		t.sayf("%v", websocket.CloseStatus(err))
		return nil
	})
	return t.result()
}
