package broadcast

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

var background = context.Background()

const (
	members = 200
	lines   = 2000 // for each member and iteration
)

var line = []byte("12:34:56 <somebody> a line as it is said in a room of people who chat\n")[:64]

// room is a server that sends a line to all its members.
type room interface {
	addr() string
	size() int
	say(line []byte)
	close()
}

// BenchmarkBroadcast is one run over both servers: lines/s are those that all members together have
// read.
func BenchmarkBroadcast(b *testing.B) {
	for name, open := range map[string]func(*testing.B) room{
		"group":               func(b *testing.B) room { return openGroup(b, listener.Auto) },
		"group-stream":        func(b *testing.B) room { return openGroup(b, listener.Stream) },
		"goroutine-per-conn":  openChannels,
		"group-loop-of-sends": func(b *testing.B) room { return &loop{openGroup(b, listener.Auto).(*group)} },
	} {
		b.Run(name, func(b *testing.B) { broadcast(b, open(b)) })
	}
}

func broadcast(b *testing.B, r room) {
	defer r.close()
	var readers []net.Conn
	for range members {
		c, err := net.Dial("tcp", r.addr())
		require.NoError(b, err)
		readers = append(readers, c)
	}
	defer func() {
		for _, c := range readers {
			_ = c.Close()
		}
	}()
	for r.size() < members {
	}
	b.ResetTimer()
	for range b.N {
		var all sync.WaitGroup
		for _, c := range readers {
			all.Go(func() {
				buffer := make([]byte, 64<<10)
				for left := lines * len(line); left > 0; {
					n, err := c.Read(buffer[:min(left, len(buffer))])
					if err != nil {
						b.Error(err)
						return
					}
					left -= n
				}
			})
		}
		for range lines {
			r.say(line)
		}
		all.Wait()
	}
	b.ReportMetric(float64(b.N)*members*lines/b.Elapsed().Seconds(), "lines/s")
}

// group is a Group of Berth. Its members wait for room: every line must arrive, as with the
// channels, which block.
type group struct {
	*listener.Listener
	connection.Group
}

func openGroup(b *testing.B, transport listener.Transport) room {
	g := &group{}
	var err error
	g.Listener, err = listener.Listen(tcpactor.NewSystem().Root, "127.0.0.1:0", tcpactor.Functions[struct{}]{
		Accept: func(s protocol.Socket) (struct{}, error) { return struct{}{}, g.Add(s) },
		Read: func(_ struct{}, _ protocol.Socket, buffer *protocol.Buffer) (struct{}, error) {
			buffer.Discard(buffer.Len())
			return struct{}{}, nil
		},
	}, listener.Options{Transport: transport, Connection: connection.Options{WriteBufferSize: 1 << 20}})
	require.NoError(b, err)
	return g
}

func (g *group) addr() string { return g.Addr().String() }
func (g *group) size() int    { return g.Len() }
func (g *group) close()       { _ = g.Close() }

func (g *group) say(line []byte) {
	d, err := g.WriteOwned(line)
	if err != nil || d.Accepted < members {
		for _, s := range d.Refused {
			_, _ = s.WriteContext(background, line)
		}
	}
}

// loop is the same by a loop over the sockets.
type loop struct{ *group }

func (l *loop) say(line []byte) {
	for _, s := range l.Connections() {
		if s.WriteOwned(line, nil) != nil {
			_, _ = s.WriteContext(background, line)
		}
	}
}

// channels is a goroutine and a channel for each connection.
type channels struct {
	net.Listener
	mu      sync.Mutex
	queues  []chan []byte
	writers sync.WaitGroup
}

func openChannels(b *testing.B) room {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	r := &channels{Listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			queue := make(chan []byte, 64)
			r.mu.Lock()
			r.queues = append(r.queues, queue)
			r.mu.Unlock()
			r.writers.Go(func() { write(c, queue) })
			go func() { _, _ = io.Copy(io.Discard, c) }()
		}
	}()
	return r
}

// write gathers what waits.
func write(c net.Conn, queue chan []byte) {
	defer func() { _ = c.Close() }()
	for p := range queue {
		bufs := net.Buffers{p}
		for more := true; more && len(bufs) < 64; {
			select {
			case p, more = <-queue:
				if more {
					bufs = append(bufs, p)
				}
			default:
				more = false
			}
		}
		if _, err := bufs.WriteTo(c); err != nil {
			return
		}
	}
}

func (r *channels) addr() string { return r.Addr().String() }

func (r *channels) size() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.queues)
}

func (r *channels) say(line []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, queue := range r.queues {
		queue <- line
	}
}

func (r *channels) close() {
	_ = r.Listener.Close()
	r.mu.Lock()
	for _, queue := range r.queues {
		close(queue)
	}
	r.mu.Unlock()
	r.writers.Wait()
}
