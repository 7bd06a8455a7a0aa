// Http serves HTTP/1.1, HTTP/2 and WebSocket with net/http. Each connection is an actor of Berth's;
// net/http sees it as a net.Conn. It is a module of its own, as it needs a package for WebSocket.
//
//	cd examples/http
//	go run . -tls
//	curl --insecure --http2 https://127.0.0.1:8080/
//	curl --insecure --data-binary @main.go https://127.0.0.1:8080/echo
//
// A WebSocket client connects to /ws, and gets its messages back.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/internal/cli"
	"github.com/go-berth/berth/netconn"
)

func main() { cli.Run("http", run) }

func run(p *cli.Program) error {
	addr := p.Flags.String("addr", "127.0.0.1:8080", "address to listen on")
	secure := p.Flags.Bool("tls", false, "serve HTTPS and HTTP/2 with a self-signed certificate for localhost, made for this run")
	most := p.Flags.Int("max-connections", 1000, "most connections open at once: further ones wait")
	idle := p.Flags.Duration("idle-timeout", 5*time.Minute, "close a connection without traffic for so long; an answer must take less (negative: never)")
	if err := p.Begin(); err != nil {
		return err
	}
	options := berth.Options{MaxConnections: *most, Connection: berth.ConnectionOptions{IdleTimeout: *idle}}
	bridge, err := netconn.ListenIn(berth.DefaultSystem().Root, *addr, options)
	if err != nil {
		return err
	}
	var listener net.Listener = bridge
	if *secure {
		certificate, err := cli.SelfSigned()
		if err != nil {
			return errors.Join(err, bridge.Close())
		}
		// Over the bridge, not by Options.TLSConfig: for HTTP/2 net/http must see a *tls.Conn.
		listener = tls.NewListener(bridge, &tls.Config{
			Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
		})
	}
	web := newServer()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = web.Serve(listener) // it says that it was closed
	}()
	return p.Until(bridge.Addr(), ended, func(ctx context.Context) error {
		err := web.Shutdown(ctx) // it waits for requests, and not for WebSocket
		<-ended
		return errors.Join(err, bridge.Server().Shutdown(ctx)) // this one waits for all connections, or aborts them
	})
}

// newServer returns a server of net/http, as for any net.Listener.
func newServer() *http.Server {
	closing, shutDown := context.WithCancel(context.Background())
	routes := http.NewServeMux()
	routes.HandleFunc("GET /{$}", describe)
	routes.HandleFunc("POST /echo", echo)
	routes.Handle("GET /ws", messages{closing})
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 5 * time.Second, ConnContext: withSocket}
	server.RegisterOnShutdown(shutDown)
	return server
}
