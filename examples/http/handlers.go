package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"

	"github.com/coder/websocket"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/netconn"
)

// socketKey is the key of the connection's socket among the values of a request's context.
type socketKey struct{}

// withSocket gives the requests of a connection the handle that Berth has on it.
func withSocket(ctx context.Context, conn net.Conn) context.Context {
	if secured, is := conn.(*tls.Conn); is {
		conn = secured.NetConn()
	}
	return context.WithValue(ctx, socketKey{}, conn.(*netconn.Conn).Socket())
}

// describe tells a client about its connection.
func describe(w http.ResponseWriter, r *http.Request) {
	info := r.Context().Value(socketKey{}).(berth.Socket).Info()
	_, _ = fmt.Fprintf(w, "%s from %s: the actor %s has read %d bytes\n", r.Proto, info.RemoteAddr, info.PID.Id, info.Stats.Read)
}

// echo sends the body back as it comes.
func echo(w http.ResponseWriter, r *http.Request) {
	response := http.NewResponseController(w)
	_ = response.EnableFullDuplex() // HTTP/2 has it anyway
	piece := make([]byte, 32<<10)
	for {
		n, err := r.Body.Read(piece)
		if n > 0 {
			_, _ = w.Write(piece[:n])
			_ = response.Flush() // a client that is gone ends the body too
		}
		if err != nil {
			return
		}
	}
}

// messages is WebSocket: each message is sent back.
type messages struct {
	closing context.Context // done when the server shuts down
}

const longestMessage = 16 << 20

// ServeHTTP implements http.Handler. It runs until the conversation is over: net/http has given the
// connection away, and does not wait for it.
func (m messages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // the client has its answer
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(longestMessage)
	stop := context.AfterFunc(m.closing, func() { _ = conn.Close(websocket.StatusGoingAway, "the server shuts down") })
	defer stop()
	for {
		kind, message, err := conn.Reader(context.Background())
		if err != nil {
			return // the client has closed, or is gone
		}
		answer, err := conn.Writer(context.Background(), kind)
		if err != nil {
			return
		}
		if _, err = io.Copy(answer, message); err != nil || answer.Close() != nil {
			return
		}
	}
}
