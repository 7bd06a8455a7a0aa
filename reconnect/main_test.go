package reconnect

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a network in memory, in virtual time, with a dialer. Its server comes and goes.
type world struct {
	t      *testing.T
	system *actor.ActorSystem
	dialer *listener.Dialer
	sim    simnet.Options

	mu     sync.Mutex
	server *simnet.Listener // nil: it is down
	events []Event
}

// inWorld runs a test in a bubble, and sees that nothing is left: the bubble ends only when all
// goroutines have.
func inWorld(t *testing.T, sim simnet.Options, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, sim: sim, system: tcpactor.NewSystem(setup.Silent()...)}
		var err error
		w.dialer, err = listener.NewDialer(w.system.Root, listener.Options{Transport: listener.Stream})
		require.NoError(t, err)
		test(t, w)
		assert.NoError(t, w.dialer.WaitConnections(t.Context(), func(open int) bool { return open == 0 }), "no connection is left")
		require.NoError(t, w.dialer.Close())
		time.Sleep(2 * time.Second) // the dead letters' throttle
		synctest.Wait()
	})
}

// connect dials the server that there is.
func (w *world) connect(ctx context.Context) (net.Conn, error) {
	w.mu.Lock()
	server := w.server
	w.mu.Unlock()
	if server == nil {
		return nil, syscall.ECONNREFUSED
	}
	return server.Dial(ctx)
}

// up starts a server; down ends it.
func (w *world) up() *simnet.Listener {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server = simnet.Listen(w.sim)
	return w.server
}

func (w *world) down() {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.server.Close()
	w.server = nil
}

// accept returns the server's end of the next connection.
func accept(t *testing.T, server *simnet.Listener) *simnet.Conn {
	t.Helper()
	c, err := server.Accept()
	require.NoError(t, err)
	return c.(*simnet.Conn)
}

// client starts a client that writes down its events. It is closed with the test.
func (w *world) client(o Options, handler tcpactor.Factory) *Client {
	w.t.Helper()
	o.Connect = w.connect
	notify := o.Notify
	o.Notify = func(e Event) {
		w.mu.Lock()
		w.events = append(w.events, e)
		w.mu.Unlock()
		if notify != nil {
			notify(e)
		}
	}
	c, err := New(w.t.Context(), w.dialer, "sim", handler, o)
	require.NoError(w.t, err)
	return c
}

// end closes a client and waits for its end.
func end(c *Client) {
	_ = c.Close()
	<-c.Done()
}

// states returns those that the client has come to since the last call.
func (w *world) states() (states []State) {
	synctest.Wait()
	for _, e := range w.news() {
		states = append(states, e.State)
	}
	return states
}

func (w *world) news() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	events := w.events
	w.events = nil
	return events
}

// silent reads and does nothing.
var silent = tcpactor.HandlerFunc(func(_ protocol.Socket, b *protocol.Buffer) error {
	b.Discard(b.Len())
	return nil
})

// result is what a writer is told.
type result struct {
	outcome Outcome
	err     error
}

// results collects outcomes by write, and fails the test where one comes twice.
type results struct {
	t   *testing.T
	mu  sync.Mutex
	got map[string]result
}

func newResults(t *testing.T) *results { return &results{t: t, got: map[string]result{}} }

// send makes a write of its own name.
func (r *results) send(c *Client, name string, idempotent bool) error {
	return c.Send(Write{Data: []byte(name), Idempotent: idempotent, Done: func(o Outcome, err error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		assert.NotContains(r.t, r.got, name, "told twice")
		assert.Equal(r.t, o == Written, err == nil, "%s: %v %v", name, o, err)
		r.got[name] = result{o, err}
	}})
}

func (r *results) of(name string) (Outcome, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	one, told := r.got[name]
	return one.outcome, told
}

// reads returns n bytes of what the peer gets.
func reads(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	p := make([]byte, n)
	_, err := io.ReadFull(c, p)
	require.NoError(t, err)
	return string(p)
}

// ends requires that a connection ends in an orderly way.
func ends(t *testing.T, c net.Conn) {
	t.Helper()
	n, err := io.Copy(io.Discard, c)
	assert.NoError(t, err)
	assert.Zero(t, n)
	_ = c.Close()
}

var errOops = errors.New("oops")

// isReset reports whether a reset is the cause. Which of the two errors tells it depends on whether
// a read or a write meets it first.
func isReset(err error) bool {
	return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}
