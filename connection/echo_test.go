package connection_test

import (
	"io"
	"net"
	"testing"

	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

type echo struct{}

func (echo) Accepted(protocol.Socket) error           { return nil }
func (echo) Closed(protocol.Socket, *protocol.Closed) {}
func (echo) Data(s protocol.Socket, b *protocol.Buffer) error {
	_, err := s.Forward(b)
	return err
}

// BenchmarkEcho is a message of 64 bytes and its echo over TCP on loopback, client included;
// package test/memory measures the same without the kernel.
func BenchmarkEcho(b *testing.B) {
	for name, kind := range map[string]listener.Transport{"auto": listener.Auto, "stream": listener.Stream} {
		b.Run(name, func(b *testing.B) {
			system := tcpactor.NewSystem(setup.Silent()...)
			l, err := listener.Listen(system.Root, "127.0.0.1:0",
				tcpactor.Handlers(func() tcpactor.Handler { return echo{} }), listener.Options{Transport: kind})
			require.NoError(b, err)
			defer l.Close()
			c, err := net.Dial("tcp", l.Addr().String())
			require.NoError(b, err)
			defer c.Close()
			p := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				if _, err = c.Write(p); err != nil {
					b.Fatal(err)
				}
				if _, err = io.ReadFull(c, p); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
