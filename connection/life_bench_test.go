package connection

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
)

// brief is a socket without a kernel: one message comes, then FIN.
type brief struct {
	transport.Conn // what is not called here
	read           int
	buffer         [64]byte
}

func (s *brief) Open(transport.Events) bool { return true }
func (s *brief) Ready(int) bool             { return true }
func (s *brief) Fill(in *transport.Input, room int) (int, error) {
	if s.read++; s.read > 1 {
		return 0, io.EOF
	}
	space := in.Space(room)
	n := copy(space, s.buffer[:])
	in.Filled(n, space)
	return n, nil
}
func (s *brief) Writev(bufs [][]byte) (int, error) { return copy(s.buffer[:], bufs[0]), nil }
func (s *brief) CloseWrite() error                 { return nil }
func (s *brief) CloseNotify() error                { return nil }
func (s *brief) Close() error                      { return nil }
func (s *brief) Progress() (r, w uint64)           { return 0, 0 }
func (s *brief) Retry(bool)                        {}
func (s *brief) LocalAddr() net.Addr               { return nil }
func (s *brief) RemoteAddr() net.Addr              { return nil }
func (s *brief) TLS() *tls.ConnectionState         { return nil }

type echoer struct{}

func (echoer) Accepted(protocol.Socket) error           { return nil }
func (echoer) Closed(protocol.Socket, *protocol.Closed) {}
func (echoer) Data(s protocol.Socket, b *protocol.Buffer) error {
	_, err := s.Forward(b)
	return err
}

// inTurn is a dispatcher that runs the turns one after the other on the benchmark's goroutine.
type inTurn struct{ turns []func() }

func (d *inTurn) Throughput() int      { return 300 }
func (d *inTurn) Schedule(turn func()) { d.turns = append(d.turns, turn) }
func (d *inTurn) run() {
	for i := 0; i < len(d.turns); i++ {
		d.turns[i]()
	}
	d.turns = d.turns[:0]
}

// BenchmarkLife measures the cost of a connection from spawn to stop, with one echo in between,
// without the kernel's part.
func BenchmarkLife(b *testing.B) {
	run, end := lives(b, func(any) {}, nil)
	b.ReportAllocs()
	for b.Loop() {
		run()
	}
	end()
}

// lives returns a function that runs one connection from spawn to stop, and a function for the end.
func lives(t testing.TB, publish func(any), subscriber func(any)) (run, end func()) {
	system := tcpactor.NewSystem(setup.Silent()...)
	if subscriber != nil {
		system.EventStream.Subscribe(subscriber)
	}
	turns := new(inTurn)
	parent := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}, actor.WithDispatcher(turns)))
	spawner := NewSpawner(Config{
		Publish: publish,
		Call:    func(callback func()) { callback() },
		System:  system, Parent: parent, Factory: tcpactor.Handlers(func() tcpactor.Handler { return echoer{} }),
		Options: Options{}.WithDefaults(), Dispatchers: []actor.Dispatcher{turns},
		Ended: func(*Connection) {}, Counted: func(int) {},
	})
	permit := &Permit{Leave: func() {}}
	turns.run()
	run = func() {
		spawner.Spawn(new(brief), 0, permit)
		turns.run()
	}
	return run, func() {
		if spawner.Len() != 0 {
			t.Fatal("connections are left")
		}
		system.Root.Stop(parent)
		turns.run()
	}
}
