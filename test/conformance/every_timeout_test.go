package conformance

import (
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/report"
)

// Four questions for every limit of time, on an exact clock: Is the connection alive one tick
// before? Has it ended at the limit (and the eighth of it that the sweep may take)? Does traffic
// give it more time? Do messages give it none?

// limit is one limit, with a connection in the state in which it counts.
type limit struct {
	options listener.Options
	play    script
	// begin brings the connection into that state: from then on the time counts.
	begin func(s *subject)
	// over reports whether the limit has passed and had its effect.
	over func(s *subject) bool
	// least and most bound how long it may take. They are the same if there is only one value.
	least, most time.Duration
	// traffic moves a byte; resets says that the time begins anew with it.
	traffic func(s *subject)
	resets  bool
}

// subject is one connection under a limit.
type subject struct {
	*server
	peer *peer
	tape *tape // nil before there is a handler
}

// leaves is over for a limit that takes the connection out of a state.
func leaves(state protocol.State) func(*subject) bool {
	return func(s *subject) bool { return s.tape.socket.Info().State != state }
}

func sends(s *subject) { s.peer.send("x") }
func says(s *subject)  { _ = s.tape.say("x"); s.peer.take(1) }
func takes(s *subject) { s.peer.take(64 << 10) }

// sweep is how late a handler may be told of its MaxAge.
const sweep = 250 * time.Millisecond

func limits() map[string]*limit {
	patient := func(o connection.Options) listener.Options {
		o.KeepOpenOnPeerClosed, o.WriteBufferSize = true, 2*stallSize
		return only(o)
	}
	undecided := script{draining: func(*tape, time.Time) error { return nil }}
	return map[string]*limit{
		"HandshakeTimeout": {
			options: listener.Options{TLSConfig: &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, errBroken }}},
			begin:   func(s *subject) { s.peer.send("\x16\x03\x01\x02\x00") }, // the beginning of a ClientHello
			over:    func(s *subject) bool { return s.Info().Open == 0 },
			least:   5 * time.Second,
			traffic: sends,
		},
		"IdleTimeout, the peer sends": {
			options: patient(connection.Options{IdleTimeout: 5 * time.Minute}),
			begin:   sends, over: leaves(protocol.StateOpen), least: 5 * time.Minute, traffic: sends, resets: true,
		},
		"IdleTimeout, we send": {
			options: patient(connection.Options{IdleTimeout: 5 * time.Minute}),
			begin:   says, over: leaves(protocol.StateOpen), least: 5 * time.Minute, traffic: says, resets: true,
		},
		"IdleTimeout, by SetTimeouts": {
			options: patient(connection.Options{}),
			begin:   func(s *subject) { s.tape.socket.SetTimeouts(protocol.Timeouts{Idle: 5 * time.Minute}) },
			over:    leaves(protocol.StateOpen), least: 5 * time.Minute, traffic: says, resets: true,
		},
		"ReadTimeout": {
			options: patient(connection.Options{ReadTimeout: 5 * time.Minute}),
			begin:   sends, over: leaves(protocol.StateOpen), least: 5 * time.Minute, traffic: sends, resets: true,
		},
		"ReadTimeout, we send": {
			options: patient(connection.Options{ReadTimeout: 5 * time.Minute}),
			begin:   sends, over: leaves(protocol.StateOpen), least: 5 * time.Minute, traffic: says,
		},
		"ReadTimeout, by SetTimeouts": {
			options: patient(connection.Options{IdleTimeout: time.Hour}),
			begin:   func(s *subject) { s.tape.socket.SetTimeouts(protocol.Timeouts{Read: time.Second}) },
			over:    leaves(protocol.StateOpen), least: time.Second, traffic: sends, resets: true,
		},
		"WriteTimeout": {
			options: patient(connection.Options{}),
			begin:   func(s *subject) { s.tape.stall() },
			over:    leaves(protocol.StateOpen), least: 30 * time.Second, traffic: takes, resets: true,
		},
		"CloseTimeout of the flush": {
			options: patient(connection.Options{}),
			begin:   func(s *subject) { s.tape.stall(); _ = s.tape.socket.Close() },
			over:    leaves(protocol.StateFlushing), least: 5 * time.Second, traffic: takes,
		},
		"LingerTimeout": {
			options: patient(connection.Options{}),
			begin:   func(s *subject) { _ = s.tape.socket.Close() },
			over:    leaves(protocol.StateClosing), least: time.Second, traffic: sends,
		},
		"LingerTimeout, and CloseTimeout is shorter": {
			options: patient(connection.Options{CloseTimeout: time.Second, LingerTimeout: time.Minute}),
			begin:   func(s *subject) { _ = s.tape.socket.Close() },
			over:    leaves(protocol.StateClosing), least: time.Minute, traffic: sends,
		},
		"HalfCloseTimeout by the peer's FIN": {
			options: patient(connection.Options{}),
			begin:   func(s *subject) { s.peer.closeWrite() },
			over:    leaves(protocol.StateOpen), least: time.Minute, traffic: says, resets: true,
		},
		"HalfCloseTimeout by CloseWrite": {
			options: patient(connection.Options{}),
			begin:   func(s *subject) { s.tape.socket.CloseWrite() },
			over:    leaves(protocol.StateOpen), least: time.Minute, traffic: sends, resets: true,
		},
		"MaxAge": {
			options: patient(connection.Options{MaxAge: 10 * time.Minute}), play: undecided,
			begin: func(*subject) {},
			over:  func(s *subject) bool { return s.tape.count("draining") > 0 },
			least: 9 * time.Minute, most: 11 * time.Minute, traffic: sends,
		},
		"MaxAgeGrace": {
			options: patient(connection.Options{MaxAge: 10 * time.Minute}), play: undecided,
			begin: func(s *subject) { s.tape.await("draining") },
			over:  leaves(protocol.StateOpen), least: 10*time.Second - sweep, most: 10 * time.Second, traffic: sends,
		},
		"DrainQuiet": {
			options: patient(connection.Options{}),
			begin: func(s *subject) {
				s.w.system.Root.Send(s.PID(), &protocol.Shutdown{})
				s.peer.send("x")
			},
			over: leaves(protocol.StateOpen), least: time.Second, traffic: sends, resets: true,
		},
	}
}

// questions are asked of every limit. l begins, and the answer is reported.
var questions = map[string]func(t *testing.T, l *limit, s *subject){
	"one tick before, it is alive": func(t *testing.T, l *limit, s *subject) {
		time.Sleep(l.least - 1)
		s.w.settle()
		assert.False(t, l.over(s))
	},
	"at the limit, it has ended": func(t *testing.T, l *limit, s *subject) {
		time.Sleep(l.latest())
		s.w.settle()
		assert.True(t, l.over(s))
	},
	"traffic": func(t *testing.T, l *limit, s *subject) {
		begun := time.Now()
		for range 7 {
			time.Sleep(l.least / 8)
			l.traffic(s)
		}
		if l.resets {
			time.Sleep(l.least - 1)
			s.w.settle()
			assert.False(t, l.over(s), "it has its whole time again")
			begun = time.Now().Add(1 - l.least)
		}
		time.Sleep(time.Until(begun.Add(l.latest())))
		s.w.settle()
		assert.True(t, l.over(s))
	},
	"messages": func(t *testing.T, l *limit, s *subject) {
		const count = 50
		for range count {
			for _, pid := range s.connections() {
				for _, message := range []any{"tick", &protocol.GetInfo{}, &protocol.Resume{}, &protocol.Detach{}} {
					s.w.system.Root.Send(pid, message)
				}
			}
			time.Sleep(l.latest() / count)
		}
		s.w.settle()
		assert.True(t, l.over(s))
	},
}

func (l *limit) latest() time.Duration {
	most := max(l.least, l.most)
	return most + most/8
}

func TestTimeoutsAreExact(t *testing.T) {
	began, timers, asked, answered := time.Now(), limits(), 0, 0
	for name := range timers {
		for question, ask := range questions {
			asked++
			if t.Run(name+": "+question, func(t *testing.T) {
				inBubble(t, func(t *testing.T, w *world) {
					l := limits()[name]
					s := &subject{server: w.listen(l.play, l.options)}
					if l.options.TLSConfig == nil {
						s.peer, s.tape = s.connect()
					} else {
						s.peer = s.client()
					}
					l.begin(s)
					ask(t, l, s)
					_ = s.peer.Conn.Close()
				})
			}) {
				answered++
			}
		}
	}
	report.Add(t, report.Row{ID: "D4", Holds: "G11", Figures: map[string]any{
		"limits": len(timers), "questions": len(questions), "asked": asked, "as they must be": answered,
	}, Duration: time.Since(began)})
}

// connections returns the actors of the live connections, also of those that no handler has seen.
func (s *server) connections() (pids []*actor.PID) {
	for _, shard := range s.w.system.ProcessRegistry.LocalPIDs.LocalPIDs {
		shard.IterCb(func(id string, _ any) {
			if strings.HasPrefix(id, s.PID().Id+"/connections/") && !strings.HasSuffix(id, "/writer") {
				pids = append(pids, s.w.system.NewLocalPID(id))
			}
		})
	}
	return pids
}
