package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/sched"
	"github.com/go-berth/berth/test/simnet"
)

// small is a world of two connections in which a few moves are made at once, so small that every
// order of them, and of everything that they set off, can be run.
type small struct {
	run      *sched.Run
	sim      *simnet.Listener
	recorder *history.Recorder
	mail     *history.Mail
	system   *actor.ActorSystem
	listener *listener.Listener
	clients  clientEnds
	moving   sync.WaitGroup

	mu      sync.Mutex
	peers   []*history.Peer
	sockets map[int]*history.Socket
}

// move is one letter of smallMoves, at a connection, 1 or 2.
type move struct {
	letter byte
	conn   int
}

func (m move) String() string { return fmt.Sprintf("%c%d", m.letter, m.conn) }

// smallMoves are: a client connects and is accepted, data comes, a write, a close, the peer's reset
// and its FIN, a panic, a pause, the listener's stop.
const smallMoves = "ADWCRFXPL"

func (s *small) do(m move) {
	switch m.letter {
	case 'A':
		s.dial(3)
	case 'D':
		_, _ = s.peer(m.conn).Write([]byte("data"))
	case 'W':
		_ = s.socket(m.conn).WriteOwned([]byte("write"), func(error) {})
	case 'C':
		_ = s.socket(m.conn).Close()
	case 'R':
		_ = s.peer(m.conn).Reset()
	case 'F':
		_ = s.peer(m.conn).CloseWrite()
	case 'X':
		s.mail.Task(s.socket(m.conn))
	case 'P':
		s.socket(m.conn).Pause()
	case 'L':
		s.recorder.Note(history.ShutdownBegun)
		s.system.Root.Stop(s.listener.PID())
	}
}

func (s *small) dial(label int) {
	conn, err := s.sim.Dial(context.Background())
	if err != nil {
		return // the listener has ended
	}
	s.clients.add(conn)
	peer := s.recorder.Peer(conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.peers = append(s.peers, peer)
}

func (s *small) peer(conn int) *history.Peer { return s.peers[conn-1] }

func (s *small) socket(conn int) *history.Socket {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets[conn].As(driver + conn)
}

// echo answers what it is shown, and panics when it gets a message.
type echo struct{ s *small }

func (e echo) Accepted(socket protocol.Socket) error {
	handle := socket.(*history.Socket)
	e.s.run.Label(handle.Conn())
	e.s.mu.Lock()
	defer e.s.mu.Unlock()
	e.s.sockets[handle.Conn()] = handle
	return nil
}

func (echo) Data(socket protocol.Socket, buffer *protocol.Buffer) error {
	_, err := socket.Forward(buffer)
	return err
}

func (echo) Message(actor.Context, protocol.Socket, any) error { panic("asked to") }

func (echo) Closed(protocol.Socket, *protocol.Closed) {}

var smallOptions = listener.Options{MaxConnections: 4, Connection: connection.Options{}}

// play runs the world once. explored is called with true when the moves begin and with false when
// all that they set off has been done.
func (s *small) play(moves []move, explored func(bool)) ([]history.Record, error) {
	network := simnet.Options{Window: 64 << 10}
	s.recorder, s.sim, s.sockets = history.NewRecorder(), simnet.Listen(network), map[int]*history.Socket{}
	s.mail = s.recorder.Mail(s.system)
	s.recorder.Measure(s.clients.room)
	var err error
	factory := tcpactor.Handlers(func() tcpactor.Handler { return echo{s} })
	if s.listener, err = listener.Serve(s.system.Root, s.sim, s.recorder.Watch(factory), smallOptions); err != nil {
		return nil, err
	}
	for conn := range 2 {
		s.dial(conn + 1)
		s.rest()
	}
	for _, m := range moves {
		s.moving.Add(1)
		s.run.Start(m.conn, func() {
			defer s.moving.Done()
			s.do(m)
		})
	}
	explored(true)
	s.run.Rest()
	explored(false)
	s.rest()
	join(&s.moving)
	s.recorder.Note(history.ShutdownBegun)
	_ = s.listener.Close()
	await(s.listener.Done())
	for _, p := range s.peers {
		for b := make([]byte, piece); ; {
			if _, err := p.Read(b); err != nil {
				break
			}
		}
		_ = p.Close()
	}
	s.rest()
	s.mail.Close()
	left := actorsOf(s.system, s.listener.PID())
	s.recorder.Note(history.Over)
	switch {
	case len(left) > 0:
		err = fmt.Errorf("actors are left: %v", left)
	case s.sim.Open() > 0:
		err = errors.New("sockets are left")
	}
	return s.recorder.Records(), err
}

func (s *small) rest() {
	s.run.Rest()
	s.recorder.Note(history.Rest)
}

func smallWorld() check.World {
	return check.World{
		Options: smallOptions.Connection, MaxConnections: smallOptions.MaxConnections,
		Network: 64 << 10, Instant: true, Lossless: true,
	}
}

// worlds returns every pair of moves: both at connection 1, or one at each. The listener's have no
// connection.
func pairsOfMoves() (all [][]move) {
	at := func(letter byte, conn int) move {
		if letter == 'A' || letter == 'L' {
			conn = 0
		}
		return move{letter, conn}
	}
	for i := range smallMoves {
		for j := i; j < len(smallMoves); j++ {
			a, b := smallMoves[i], smallMoves[j]
			if a == b && (a == 'A' || a == 'L' || a == 'R' || a == 'F') {
				continue
			}
			all = append(all, []move{at(a, 1), at(b, 1)})
			if two := at(b, 2); two.conn == 2 && a != 'A' && a != 'L' {
				all = append(all, []move{at(a, 1), two})
			}
		}
	}
	return all
}

// explored is what an exploration of one world has found.
type explored struct {
	explorer   *sched.Explorer
	whole      bool // there is no other order
	violations []check.Violation
	records    []history.Record
	err        error
}

// explore runs a small world in every order, but in no more than most.
func explore(t *testing.T, moves []move, e *sched.Explorer, most int) (x explored) {
	x.explorer = e
	err := inBubble(t, fmt.Sprint(moves), func() {
		system := newSystem()
		for x.err == nil && len(x.violations) == 0 && e.Runs+e.Redundant < most {
			if x.whole = !e.Next(); x.whole {
				x.err = e.Err()
				return
			}
			e.Pause()
			_, err := sched.Do(sched.Options{Policy: e, Throughput: 100}, func(run *sched.Run) {
				s := &small{run: run, system: system}
				x.records, x.err = s.play(moves, func(begins bool) {
					if begins {
						e.Resume()
					} else {
						e.Pause()
					}
				})
			})
			if x.err == nil {
				x.err = err
			}
			x.violations = check.Violations(smallWorld(), x.records)
		}
	})
	if x.err == nil {
		x.err = err
	}
	return x
}

func TestSmall(t *testing.T) {
	sum, red, whole := 0, 0, 0
	for _, moves := range pairsOfMoves() {
		x := explore(t, moves, &sched.Explorer{}, 3000)
		if x.err != nil {
			t.Error(moves, x.err)
		}
		for _, v := range x.violations {
			t.Errorf("%v: %v\n%s", moves, v, strings.Join(story(x.records, v), "\n"))
		}
		sum += x.explorer.Runs
		red += x.explorer.Redundant
		if x.whole {
			whole++
		}
		t.Log(moves, x.explorer.Runs, x.explorer.Redundant, x.explorer.Deepest, x.whole)
	}
	t.Log(sum, red, whole)
}
