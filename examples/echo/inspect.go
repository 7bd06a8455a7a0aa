package main

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/inspector"
)

// pagesAt listens where a browser can look at the server; nil without an address.
func pagesAt(addr string) (net.Listener, error) {
	if addr == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("echo: -inspect: %w", err)
	}
	return l, nil
}

// inspect serves pages about the server at l, if there is one, until stop is called. The token of
// the actions is logged.
func inspect(l net.Listener, actions bool, server *berth.Server, logger *slog.Logger) (stop func(), err error) {
	if l == nil {
		return func() {}, nil
	}
	options := inspector.Options{Actions: actions}
	if actions {
		options.Token = rand.Text()
	}
	pages, err := inspector.New(options, server)
	if err != nil {
		return nil, err
	}
	web := &http.Server{Handler: pages, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = web.Serve(l) // it says that it was closed
	}()
	logger.Info("inspector", "url", fmt.Sprintf("http://%s/", l.Addr()), "token", options.Token)
	return func() {
		_ = web.Close()
		<-served
		pages.Close()
	}, nil
}
