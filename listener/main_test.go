package listener

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
)

func TestMain(m *testing.M) {
	setup.Together(16)
	setup.Main(m)
}

const patience = setup.Patience

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	return setup.Receive(t, from)
}

// world is an actor system that says nothing and keeps the events of listeners.
type world struct {
	*actor.ActorSystem
	events *setup.Events
}

func newWorld() *world {
	system := setup.System()
	return &world{system, setup.Record(system)}
}

// published returns the events of one type so far.
func published[T any](w *world) []T { return setup.Published[T](w.events) }

// actors returns the ids of all actors.
func (w *world) actors() []string { return setup.Actors(w.ActorSystem) }

// acceptors returns the acceptors of a listener.
func (w *world) acceptors(l *Listener) (all []*actor.PID) {
	for _, id := range w.actors() {
		if strings.HasPrefix(id, l.PID().Id+"/acceptor") {
			all = append(all, w.NewLocalPID(id))
		}
	}
	return all
}

// find waits for the one actor below a listener whose path has the given number of parts
// ("listener$1/connections/$5": 3) and ends in suffix.
func (w *world) find(t *testing.T, l *Listener, parts int, suffix string) *actor.PID {
	t.Helper()
	var found string
	eventually(t, func() bool {
		for _, id := range w.actors() {
			if strings.HasPrefix(id, l.PID().Id+"/") && strings.Count(id, "/") == parts-1 && strings.HasSuffix(id, suffix) {
				if parts == 2 && suffix == "" && strings.HasSuffix(id, "connections") {
					continue
				}
				found = id
				return true
			}
		}
		return false
	})
	return w.NewLocalPID(found)
}

// eventually asks again and again, for things that are not announced.
func eventually(t *testing.T, what func() bool) {
	t.Helper()
	setup.Eventually(t, what)
}

// echo sends back its input, and reports its life.
type echo struct {
	accepted chan protocol.Socket
	closed   chan *protocol.Closed
}

func (e *echo) Accepted(s protocol.Socket) error {
	if e.accepted != nil {
		e.accepted <- s
	}
	return nil
}

func (e *echo) Data(s protocol.Socket, b *protocol.Buffer) error {
	_, err := s.Forward(b)
	return err
}

func (e *echo) Closed(_ protocol.Socket, c *protocol.Closed) {
	if e.closed != nil {
		copied := *c
		e.closed <- &copied
	}
}

// voice answers everything with itself.
type voice string

func (voice) Accepted(protocol.Socket) error { return nil }

func (v voice) Data(s protocol.Socket, b *protocol.Buffer) error {
	b.Discard(b.Len())
	_, err := s.Write([]byte(v))
	return err
}

func (voice) Closed(protocol.Socket, *protocol.Closed) {}

// of is a factory behind which every connection has the same handler.
func of(h tcpactor.Handler) tcpactor.Factory {
	return tcpactor.Handlers(func() tcpactor.Handler { return h })
}

func newEcho() *echo {
	return &echo{accepted: make(chan protocol.Socket, 1000), closed: make(chan *protocol.Closed, 1000)}
}

const anyPort = "127.0.0.1:0"

// listen starts a listener that is closed with the test, and then requires that no actor is left.
func (w *world) listen(t *testing.T, factory tcpactor.Factory, options Options) *Listener {
	t.Helper()
	l, err := Listen(w.Root, anyPort, factory, options)
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = l.Close()
		<-l.Done()
		assert.Empty(t, w.actors())
	})
	return l
}

func dial(t *testing.T, l *Listener) net.Conn {
	t.Helper()
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// echoes requires that the connection is served.
func echoes(t *testing.T, c net.Conn) {
	t.Helper()
	const text = "hello"
	_ = c.SetDeadline(time.Now().Add(patience))
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
	p := make([]byte, len(text))
	_, err = io.ReadFull(c, p)
	require.NoError(t, err)
	require.Equal(t, text, string(p))
}

// ends reads up to the end and returns it, nil for FIN.
func ends(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(patience))
	_, err := io.Copy(io.Discard, c)
	return err
}

// within is a context for a Shutdown.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

func descriptors() int { return setup.Descriptors() }
