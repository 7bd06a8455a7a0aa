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

// inspect serves pages about the server until stop is called. The token of the actions is logged.
func inspect(addr string, actions bool, server *berth.Server, logger *slog.Logger) (stop func(), err error) {
	options := inspector.Options{Actions: actions}
	if actions {
		options.Token = rand.Text()
	}
	pages, err := inspector.New(options, server)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		pages.Close()
		return nil, fmt.Errorf("echo: the inspector: %w", err)
	}
	web := &http.Server{Handler: pages, ReadHeaderTimeout: 5 * time.Second}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = web.Serve(listener) // it says that it was closed
	}()
	logger.Info("inspector", "url", fmt.Sprintf("http://%s/", listener.Addr()), "token", options.Token)
	return func() {
		_ = web.Close()
		<-served
		pages.Close()
	}, nil
}
