package conformance

import (
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
)

// shared is the actor system of all tests on real networks: making one takes 5 ms, and none can be
// stopped.
var shared *actor.ActorSystem

// pinger is a connection that answers; see settle.
var pinger net.Conn

func TestMain(m *testing.M) {
	shared = setup.System()
	pinger = newPinger()
	setup.Together(16)
	setup.Main(m, goleak.IgnoreCurrent())
}

// newPinger returns a connection that has answered once: both sockets are open, and the runtime has
// its own descriptors.
func newPinger() net.Conn {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		panic(err)
	}
	answering, err := l.Accept()
	if err != nil {
		panic(err)
	}
	go func() { // until the process ends
		for b := make([]byte, 1); ; { // not by io.Copy, which would take a pipe of its own
			if _, err := io.ReadFull(answering, b); err != nil {
				return
			}
			if _, err := answering.Write(b); err != nil {
				return
			}
		}
	}()
	if err := ping(c); err != nil {
		panic(err)
	}
	return c
}

// ping makes one round trip.
func ping(c net.Conn) error {
	b := make([]byte, 1)
	if _, err := c.Write(b); err != nil {
		return err
	}
	_, err := io.ReadFull(c, b)
	return err
}

// world is the surroundings of one test on one network.
type world struct {
	t       *testing.T
	network network
	system  *actor.ActorSystem
	servers []*server

	mu      sync.Mutex
	tapes   []*tape
	clients []net.Conn
	letters []*actor.DeadLetterEvent
}

// server is a listener, with the means to connect to it and the tapes of its connections.
type server struct {
	*listener.Listener
	w        *world
	dial     dial
	accepted chan *tape // the tapes, as their handlers get Accepted

	tapes      sync.Map // the same by PID
	restarting bool     // a handler may replace another, and goes on with its tape
}

// patience is how long a test waits for an event that must happen. In a bubble it takes no real
// time.
func (w *world) patience() time.Duration {
	if w.network.virtual() {
		return time.Hour
	}
	return 20 * time.Second
}

func inWorld(t *testing.T, n network, test func(t *testing.T, w *world)) {
	w := &world{t: t, network: n, system: shared}
	if n.virtual() {
		w.system = setup.System()
		// The dead letters' throttle may still run at the end.
		defer func() { time.Sleep(2 * time.Second); synctest.Wait() }()
	}
	letters := w.system.EventStream.Subscribe(func(event any) {
		if letter, ok := event.(*actor.DeadLetterEvent); ok {
			w.mu.Lock()
			w.letters = append(w.letters, letter)
			w.mu.Unlock()
		}
	})
	defer w.system.EventStream.Unsubscribe(letters)
	defer w.end()
	test(t, w)
}

// end closes everything that the test left open and checks that nothing remains.
func (w *world) end() {
	for _, s := range w.servers {
		s.finish(w.t, func() { _ = s.Close() })
	}
	for _, c := range w.clients {
		_ = c.Close()
	}
	for _, tape := range w.tapes {
		tape.verify()
	}
}

// finish runs a call that must return.
func (s *server) finish(t *testing.T, call func()) {
	t.Helper()
	returned := make(chan struct{})
	go func() { defer close(returned); call() }()
	select {
	case <-returned:
	case <-time.After(s.w.patience()):
		assert.Fail(t, "shutdown hangs")
	}
}

// listen starts a listener of connections that play the script through the Go form.
func (w *world) listen(play script, options listener.Options) *server {
	w.t.Helper()
	return w.open(handlersForm, play, options)
}

// serve is listen with options of the connection alone.
func (w *world) serve(play script, options connection.Options) *server {
	w.t.Helper()
	return w.listen(play, listener.Options{Connection: options})
}

// open starts a listener of connections that play the script through the given factory.
func (w *world) open(open factoryOf, play script, options listener.Options) *server {
	w.t.Helper()
	s := &server{w: w, accepted: make(chan *tape, 1024)}
	return s.start(open(s, play), options)
}

// serveOn is open for a listener of the test's own, that dial connects to.
func (w *world) serveOn(l net.Listener, dial dial, play script, options listener.Options) *server {
	w.t.Helper()
	s := &server{w: w, accepted: make(chan *tape, 1024), dial: dial}
	var err error
	s.Listener, err = listener.Serve(w.system.Root, l, handlersForm(s, play), options)
	require.NoError(w.t, err)
	w.servers = append(w.servers, s)
	return s
}

func (s *server) start(factory tcpactor.Factory, options listener.Options) *server {
	s.restarting = options.Connection.RestartHandler.Max > 0
	s.Listener, s.dial = s.w.network.listen(s.w, factory, options)
	s.w.servers = append(s.w.servers, s)
	return s
}

// connect returns both sides of a new connection.
func (s *server) connect() (*peer, *tape) {
	s.w.t.Helper()
	p := s.client()
	select {
	case tape := <-s.accepted:
		return p, tape
	case <-time.After(s.w.patience()):
		require.Fail(s.w.t, "not accepted")
		return nil, nil
	}
}

// client returns the client's side of a new connection.
func (s *server) client() *peer {
	s.w.t.Helper()
	c, err := s.dial()
	require.NoError(s.w.t, err)
	p := &peer{Conn: c, w: s.w}
	s.w.clients = append(s.w.clients, c)
	return p
}

// settle waits until all work under way is done, in tests that something does not happen. In a
// bubble that is exact. On a real network it is a number of round trips on another connection,
// enough time for a defect to show.
func (w *world) settle() {
	w.t.Helper()
	if w.network.virtual() {
		synctest.Wait()
		return
	}
	for range 25 {
		require.NoError(w.t, ping(pinger))
	}
}

// yield lets other goroutines run, in tests that try again until there is room. In a bubble the
// clock must be able to advance, too.
func (w *world) yield() {
	if w.network.virtual() {
		time.Sleep(time.Millisecond)
		return
	}
	runtime.Gosched()
}

// deadLetters returns the messages that were dead-lettered for pid.
func (w *world) deadLetters(pid *actor.PID) []any {
	w.mu.Lock()
	defer w.mu.Unlock()
	var messages []any
	for _, letter := range w.letters {
		if letter.PID.Equal(pid) {
			messages = append(messages, letter.Message)
		}
	}
	return messages
}

// registered reports whether pid is in the process registry.
func (w *world) registered(pid *actor.PID) bool {
	_, ok := w.system.ProcessRegistry.GetLocal(pid.Id)
	return ok
}

// needsPermits skips the test where no limit counts the connections.
func (w *world) needsPermits() {
	w.t.Helper()
	if w.network.dialled {
		w.t.Skip("dialled connections take no permits")
	}
}

// needsReset skips the test where a client cannot send RST.
func (w *world) needsReset() {
	w.t.Helper()
	if !w.network.resets {
		w.t.Skip("no RST on this network")
	}
}

// asker is an actor that collects the answers to the commands it sends.
type asker struct {
	w       *world
	pid     *actor.PID
	answers chan any
}

func (w *world) asker() *asker {
	a := &asker{w: w, answers: make(chan any, 4096)}
	a.pid = w.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch ctx.Message().(type) {
		case actor.SystemMessage, actor.AutoReceiveMessage:
		default:
			a.answers <- ctx.Message()
		}
	}))
	w.t.Cleanup(func() { _ = w.system.Root.StopFuture(a.pid).Wait() })
	return a
}

// send sends a command in the asker's name.
func (a *asker) send(to *actor.PID, command any) {
	a.w.system.Root.RequestWithCustomSender(to, command, a.pid)
}

// answer waits for the next answer.
func (a *asker) answer() any {
	a.w.t.Helper()
	select {
	case answer := <-a.answers:
		return answer
	case <-time.After(a.w.patience()):
		require.Fail(a.w.t, "no answer")
		return nil
	}
}

// ask sends a command and waits for its answer.
func (a *asker) ask(to *actor.PID, command any) any {
	a.w.t.Helper()
	a.send(to, command)
	return a.answer()
}
