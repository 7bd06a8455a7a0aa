package netconn

import (
	"io"
	"log"
	"net"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/listener"
)

// listeners are what the benchmarks compare, by name.
func listeners(b *testing.B, run func(b *testing.B, l net.Listener)) {
	b.Run("net", func(b *testing.B) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(b, err)
		defer l.Close()
		run(b, l)
	})
	for _, n := range sockets() {
		b.Run(n.name, func(b *testing.B) {
			if !n.available() {
				b.Skip()
			}
			l, _, _ := n.open(b, mostQueued, listener.Options{})
			run(b, l)
		})
	}
}

// echoes serves l: every byte is sent back.
func echoes(l net.Listener, buffer int) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			p := make([]byte, buffer)
			for {
				n, err := c.Read(p)
				if err != nil {
					return
				}
				if _, err := c.Write(p[:n]); err != nil {
					return
				}
			}
		}()
	}
}

func benchmarkEcho(b *testing.B, size, clients int) {
	listeners(b, func(b *testing.B, l net.Listener) {
		go echoes(l, 32<<10)
		work := make(chan struct{}, b.N)
		for range b.N {
			work <- struct{}{}
		}
		close(work)
		done := make(chan error, clients)
		conns := make([]net.Conn, clients)
		for i := range conns {
			c, err := net.Dial("tcp", l.Addr().String())
			require.NoError(b, err)
			b.Cleanup(func() { _ = c.Close() })
			conns[i] = c
		}
		b.SetBytes(int64(size))
		b.ReportAllocs()
		b.ResetTimer()
		for _, c := range conns {
			go func() {
				p := make([]byte, size)
				for range work {
					if _, err := c.Write(p); err != nil {
						done <- err
						return
					}
					if _, err := io.ReadFull(c, p); err != nil {
						done <- err
						return
					}
				}
				done <- nil
			}()
		}
		for range conns {
			require.NoError(b, <-done)
		}
	})
}

func BenchmarkEcho(b *testing.B) {
	b.Run("64B/1", func(b *testing.B) { benchmarkEcho(b, 64, 1) })
	b.Run("64B/50", func(b *testing.B) { benchmarkEcho(b, 64, 50) })
	b.Run("16KiB/50", func(b *testing.B) { benchmarkEcho(b, 16<<10, 50) })
}

// BenchmarkReceive is one peer that sends as fast as it can.
func BenchmarkReceive(b *testing.B) {
	listeners(b, func(b *testing.B, l net.Listener) {
		client, err := net.Dial("tcp", l.Addr().String())
		require.NoError(b, err)
		defer client.Close()
		c, err := l.Accept()
		require.NoError(b, err)
		defer c.Close()
		const size = 32 << 10
		b.SetBytes(size)
		b.ReportAllocs()
		b.ResetTimer()
		go func() {
			p := make([]byte, size)
			for range b.N {
				if _, err := client.Write(p); err != nil {
					return
				}
			}
		}()
		p := make([]byte, size)
		for range b.N {
			_, err := io.ReadFull(c, p)
			require.NoError(b, err)
		}
	})
}

func BenchmarkHTTP(b *testing.B) {
	listeners(b, func(b *testing.B, l net.Listener) {
		server := &http.Server{
			Handler:  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }),
			ErrorLog: log.New(io.Discard, "", 0),
		}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		transport := &http.Transport{MaxIdleConnsPerHost: 64}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport}
		url := "http://" + l.Addr().String()
		b.ReportAllocs()
		b.SetParallelism(25)
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				response, err := client.Get(url)
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, response.Body)
				_ = response.Body.Close()
			}
		})
	})
}
