package servers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
)

// tlsEcho is an echo over TLS: on package net crypto/tls with a goroutine for each connection,
// otherwise Berth's own server with TLSConfig.
func tlsEcho() Case {
	return Case{
		Name:  "TLS echo, no bridge",
		Serve: serveTLSEcho,
		own:   ownTLSEcho,
		Dial: func(addr string, certificate *x509.Certificate) (Client, error) {
			c, err := dialTLS(addr, certificate)
			if err != nil {
				return nil, err
			}
			got := make([]byte, 64<<10)
			return client{
				exchange: func(payload []byte) error {
					if _, err := c.Write(payload); err != nil {
						return err
					}
					if _, err := io.ReadFull(c, got[:len(payload)]); err != nil {
						return err
					}
					return same(payload, got[:len(payload)])
				},
				close: c.Close,
			}, nil
		},
		Talk: talkTLSEcho,
	}
}

func dialTLS(addr string, certificate *x509.Certificate) (*tls.Conn, error) {
	plain, err := dial(addr)
	if err != nil {
		return nil, err
	}
	c := tls.Client(plain, trusting(certificate))
	if err := c.Handshake(); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return c, nil
}

func serveTLSEcho(l net.Listener, certificate tls.Certificate) (stop func() error) {
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	var serving sync.WaitGroup
	return running(func() error {
		defer serving.Wait()
		for {
			plain, err := l.Accept()
			if err != nil {
				return err
			}
			serving.Go(func() {
				c := tls.Server(plain, config)
				defer c.Close()
				_, _ = io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 4<<10))
			})
		}
	}, l.Close, net.ErrClosed)
}

func ownTLSEcho(kind string, system *actor.ActorSystem, certificate tls.Certificate) (addr string, stop func() error, err error) {
	echo := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		_, err := socket.Forward(data)
		return err
	})
	server, err := berth.ListenIn(system.Root, "127.0.0.1:0", echo, berth.Options{
		Transport: transports[kind],
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	})
	if err != nil {
		return "", nil, err
	}
	return server.Addr().String(), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), Timeout)
		defer cancel()
		return server.Shutdown(ctx)
	}, nil
}

// talkTLSEcho echoes a byte, several records at once, and what comes before a half-close.
func talkTLSEcho(addr string, certificate *x509.Certificate) ([]string, error) {
	var t talk
	c, err := dialTLS(addr, certificate)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	for _, size := range []int{1, 64, 20_000} {
		t.step("echo", func() error {
			payload, got := Payload(size), make([]byte, size)
			if _, err := c.Write(payload); err != nil {
				return err
			}
			_, err := io.ReadFull(c, got)
			t.sayf("%d bytes, the same: %v", size, bytes.Equal(payload, got))
			return err
		})
	}
	t.step("half-close", func() error {
		if _, err := c.Write(Payload(100)); err != nil {
			return err
		}
		if err := c.CloseWrite(); err != nil {
			return err
		}
		rest, err := io.ReadAll(c)
		t.sayf("%d bytes, and the end", len(rest))
		return err
	})
	return t.result()
}
