package storm

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/report"
)

func TestMain(m *testing.M) { setup.Main(m) }

var (
	scale = flag.Float64("storm.scale", 0.02, "what part of the rounds is run, at most 1")
	seed  = flag.Uint64("seed", 0, "of all random choices; 0: one is drawn, and printed")
)

// patience bounds the time for events that should happen at once. Only a failing test waits that
// long.
const patience = 30 * time.Second

func of(n int) int { return max(1, int(float64(n)**scale)) }

func drawSeed(t *testing.T) uint64 {
	n := *seed
	if n == 0 {
		n = rand.Uint64N(1 << 32)
	}
	t.Logf("again: go test ./test/storm -count=1 -run '%s' -seed %d -storm.scale %v", t.Name(), n, *scale)
	return n
}

// tell adds a row to the report.
func tell(t *testing.T, row report.Row, began time.Time) {
	t.Helper()
	row.Duration = time.Since(began)
	if *scale < 1 {
		row.Skipped = fmt.Sprintf("a part of %v of the rounds", *scale)
	}
	report.Add(t, row)
}

// overEach runs a test over each transport of this system.
func overEach(t *testing.T, test func(t *testing.T, transport berth.Transport)) {
	for name, transport := range map[string]berth.Transport{"auto": berth.Auto, "stream": berth.Stream} {
		t.Run(name, func(t *testing.T) { test(t, transport) })
	}
}

// listen starts a listener on a free port; it is closed with the test.
func listen(t *testing.T, factory berth.Factory, options berth.Options) (*berth.Server, *actor.ActorSystem) {
	t.Helper()
	l, system := listenOnly(t, "127.0.0.1:0", factory, options)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	return l, system
}

// listenOnly leaves the end to the test.
func listenOnly(t *testing.T, addr string, factory berth.Factory, options berth.Options) (*berth.Server, *actor.ActorSystem) {
	t.Helper()
	system := berth.NewSystem(setup.Silent()...)
	l, err := berth.ListenIn(system.Root, addr, factory, options)
	require.NoError(t, err)
	return l, system
}

func dial(t testing.TB, l *berth.Server) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	_ = conn.SetDeadline(time.Now().Add(patience))
	return conn.(*net.TCPConn)
}

// handler is a handler made of functions. A nil function does nothing.
type handler struct {
	accepted func(berth.Socket) error
	data     func(berth.Socket, *berth.Buffer) error
	closed   func(*berth.Closed)
	writable func(berth.Socket, bool) error
	message  func(berth.Socket, any) error
}

// Writable implements berth.WritableHandler.
func (h handler) Writable(s berth.Socket, ready bool) error {
	if h.writable == nil {
		return nil
	}
	return h.writable(s, ready)
}

// Message implements berth.MessageHandler.
func (h handler) Message(_ actor.Context, s berth.Socket, message any) error {
	if h.message == nil {
		return nil
	}
	return h.message(s, message)
}

// Accepted implements berth.AcceptedHandler.
func (h handler) Accepted(s berth.Socket) error {
	if h.accepted == nil {
		return nil
	}
	return h.accepted(s)
}

// Data implements berth.Handler.
func (h handler) Data(s berth.Socket, b *berth.Buffer) error {
	if h.data == nil {
		return nil
	}
	return h.data(s, b)
}

// Closed implements berth.ClosedHandler.
func (h handler) Closed(_ berth.Socket, c *berth.Closed) {
	if h.closed != nil {
		h.closed(c)
	}
}

func factoryOf(h handler) berth.Factory {
	return berth.Handlers(func() berth.Handler { return h })
}
