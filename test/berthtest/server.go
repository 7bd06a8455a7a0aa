package berthtest

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime/pprof"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/test/sched"
	"github.com/go-berth/berth/test/simnet"
)

// Server is a server that lives as long as a test. Its methods must be called on the test's
// goroutine; those of the embedded berth.Server may be called on any goroutine.
type Server struct {
	*berth.Server
	// System is the actor system that the server runs in.
	System *actor.ActorSystem
	// Network is the network in memory, nil with Loopback. It can be partitioned.
	Network *simnet.Listener

	t       testing.TB
	config  config
	bubble  bool
	name    string // a goroutine that has the label of this name belongs to the server
	before  map[string]bool
	events  *eventstream.Subscription
	news    news
	clients []*Client
}

// servers numbers the servers of a process.
var servers atomic.Int64

// Serve starts a server and returns once clients can connect. The server ends with the test t, or
// earlier by Close or Shutdown. In a bubble t must be the one that synctest.Test passes to its
// function.
func Serve(t testing.TB, handler berth.Factory, options ...Option) *Server {
	t.Helper()
	s := &Server{t: t, bubble: inBubble(), before: map[string]bool{}}
	for _, option := range options {
		option(&s.config)
	}
	if problem := s.prepare(); problem != "" {
		t.Fatalf("berthtest: %s", problem)
	}
	s.name = t.Name() + " " + strconv.FormatInt(servers.Add(1), 10)
	for _, id := range actors(s.System) {
		s.before[id] = true
	}
	s.events = s.System.EventStream.Subscribe(s.news.add)
	if err := s.start(handler); err != nil {
		s.System.EventStream.Unsubscribe(s.events)
		t.Fatalf("berthtest: the server does not start: %v", err)
	}
	t.Cleanup(s.end)
	return s
}

// prepare fills in the defaults of the options. It returns a sentence about the problem if the
// options do not allow a start.
func (s *Server) prepare() (problem string) {
	c := &s.config
	switch {
	case s.bubble && c.loopback:
		return "Loopback cannot be used in a bubble of synctest: leave it out, or test outside"
	case s.bubble && !ofBubble(s.t):
		return "the server is in a bubble of synctest, but t is not: " +
			"give Serve the t of the function that synctest.Test calls"
	case c.loopback && c.server.Network == "unix":
		return `Loopback serves TCP: Options.Network cannot be "unix"`
	}
	if c.patience <= 0 {
		c.patience = realPatience
		if s.bubble {
			c.patience = patienceFor(&c.server.Connection)
		}
	}
	s.System = c.system
	if s.System == nil {
		s.System = newSystem()
	}
	return ""
}

// newSystem returns a silent actor system. A dead letter that it logs starts a goroutine for the
// throttle's interval.
func newSystem() *actor.ActorSystem {
	return berth.NewSystem(
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
			return slog.New(slog.DiscardHandler)
		}))
}

// start listens on a goroutine of its own, which it joins. The goroutines that come of it inherit
// its label, and the test's goroutine does not get one.
func (s *Server) start(handler berth.Factory) error {
	if handler != nil {
		handler = berth.Wrap(handler, s.label)
	}
	started := make(chan error)
	go func() {
		pprof.SetGoroutineLabels(s.labels())
		started <- s.listen(handler)
	}()
	return <-started
}

func (s *Server) listen(handler berth.Factory) (err error) {
	c := &s.config
	if c.loopback {
		s.Server, err = berth.ListenIn(s.System.Root, "127.0.0.1:0", handler, c.server)
		return err
	}
	s.Network = simnet.Listen(c.network)
	s.Server, err = listener.Serve(s.System.Root, s.Network, handler, c.server)
	return err
}

// label marks the goroutine that a handler runs on, for the goroutines that the handler starts. The
// server's own goroutines may keep the label.
func (s *Server) label(next berth.Receiver) berth.Receiver {
	labels, foreign := s.labels(), s.config.server.Connection.Dispatcher != nil || s.config.ordered
	return berth.ReceiverFunc(func(ctx actor.Context, message any) error {
		pprof.SetGoroutineLabels(labels)
		if foreign {
			defer pprof.SetGoroutineLabels(context.Background())
		}
		return next.Receive(ctx, message)
	})
}

// Dial connects a client to the server.
func (s *Server) Dial() *Client {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), s.config.patience)
	defer cancel()
	var conn net.Conn
	var err error
	if s.Network != nil {
		conn, err = s.Network.Dial(ctx)
	} else {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", s.Addr().String())
	}
	if err != nil {
		s.t.Fatalf("berthtest: a client cannot connect: %v", err)
	}
	c := newClient(s.t, conn, s.config.patience)
	c.news = &s.news
	s.clients = append(s.clients, c)
	return c
}

// end stops the server and reports unexpected failures and leaks.
func (s *Server) end() {
	s.t.Helper()
	defer s.System.EventStream.Unsubscribe(s.events)
	if s.bubble {
		if !inBubble() {
			s.t.Errorf("berthtest: the server was made in a bubble of synctest that has ended: " +
				"give Serve the t of the function that synctest.Test calls")
			return
		}
		// The dead letters' throttle may still run; the clock of a bubble stands still after this.
		defer sched.Sleep(2 * time.Second)
	}
	var stuck *listener.ShutdownError
	if err := s.Close(); errors.As(err, &stuck) && len(stuck.Stuck) > 0 {
		s.t.Errorf("berthtest: handlers have not returned: %d", len(stuck.Stuck))
	}
	for _, c := range s.clients {
		_ = c.conn.Close()
	}
	if !s.config.failures {
		for _, failed := range s.news.unexpected() {
			s.t.Errorf("berthtest: a handler failed: %s", describe(failed))
		}
	}
	if !s.config.leaks {
		s.reportLeaks()
	}
}

// ExpectFailure waits until a handler has failed, by a panic or an error that it returned, and
// returns the error: for a panic a *protocol.PanicError. Each failure is returned once, in order.
func (s *Server) ExpectFailure() error {
	s.t.Helper()
	failed := await(&s.news, s.config.patience, s.news.takeFailure)
	if failed == nil {
		s.t.Fatalf("berthtest: expected that a handler fails, but none did within %v", s.config.patience)
		return nil
	}
	return failed.Err
}
