package sim

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/sched"
	"github.com/go-berth/berth/test/simnet"
)

var orders = flag.Int("sim.orders", 5000, "how many orders of each small world are run at most, with -sim.scale 1")

var onlyMoves = flag.String("sim.moves", "", "run this small world alone: \"W1 C1\"")

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

// smallMoves are: a write, a close, data comes, a panic, the peer's reset and its FIN, a pause, the
// listener's stop, a client connects and is accepted, a handler makes room for another.
const smallMoves = "WCDXRFPLAB"

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
	case 'B':
		s.socket(m.conn).Do(&protocol.Become{Handler: s.echoes()}, func(error) {})
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

func (s *small) echoes() tcpactor.Factory {
	return tcpactor.Handlers(func() tcpactor.Handler { return echo{s} })
}

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
	if s.listener, err = listener.Serve(s.system.Root, s.sim, s.recorder.Watch(s.echoes()), smallOptions); err != nil {
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

// pairsOfMoves returns every pair of moves: both at connection 1, or one at each. The listener's
// have no connection.
func pairsOfMoves() (all [][]move) {
	if *onlyMoves != "" {
		var moves []move
		for one := range strings.SplitSeq(*onlyMoves, " ") {
			moves = append(moves, move{one[0], int(one[1] - '0')})
		}
		return [][]move{moves}
	}
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

// exploration runs one small world in every order. The violations are those of the last run.
type exploration struct {
	run
	moves    []move
	explorer sched.Explorer
	whole    bool // there is no other order
}

func newExploration(moves []move) *exploration { return &exploration{moves: moves} }

func (x *exploration) runs() int { return x.explorer.Runs + x.explorer.Redundant }

// explore goes on until there were so many runs, or one has failed, or there is no other order.
func (x *exploration) explore(t *testing.T, most int) {
	err := inBubble(t, fmt.Sprint(x.moves), func() {
		system := newSystem() // for all: it takes longer to make than a run
		for !x.failed() && !x.whole && x.runs() < most {
			if x.whole = !x.explorer.Next(); x.whole {
				x.err = x.explorer.Err()
				return
			}
			x.once(system, &x.explorer)
		}
	})
	if x.err == nil {
		x.err = err
	}
}

// once is one run, in the order of the explorer.
func (x *exploration) once(system *actor.ActorSystem, e *sched.Explorer) {
	e.Pause()
	var left error
	done, err := sched.Do(sched.Options{Policy: e, Throughput: 100, MostSteps: 20_000}, func(run *sched.Run) {
		s := &small{run: run, system: system}
		x.records, left = s.play(x.moves, func(begins bool) {
			if begins {
				e.Resume()
			} else {
				e.Pause()
			}
		})
	})
	if done != nil {
		x.taken = done.Taken()
	}
	x.err = errors.Join(left, err)
	x.judge(smallWorld())
}

func (x *exploration) tell(t *testing.T) {
	if x.err != nil {
		t.Errorf("%v: %v", x.moves, x.err)
	}
	for _, v := range x.violations[:min(1, len(x.violations))] {
		t.Errorf("%v, in the order %v: %v\n%s", x.moves, x.explorer.Path(), v, strings.Join(story(x.records, v), "\n"))
	}
}

// N2: every order of two moves on two connections, and of all that they set off, ends as it must.
func TestEveryOrderOfTwoMovesEndsAsItMust(t *testing.T) {
	began, most := time.Now(), 10
	if *scale >= 1 {
		most = *orders
	}
	runs, redundant, whole, deepest, all := 0, 0, 0, 0, pairsOfMoves()
	for _, moves := range all {
		x := newExploration(moves)
		x.explore(t, most)
		x.tell(t)
		runs, redundant, deepest = runs+x.explorer.Runs, redundant+x.explorer.Redundant, max(deepest, x.explorer.Deepest)
		if x.whole {
			whole++
		}
	}
	report.Add(t, report.Row{
		ID: "N2", Holds: "G1-G8, G10, G13", Duration: time.Since(began),
		Figures: map[string]any{
			"pairs of moves": len(all), "explored whole": whole, "orders": runs, "cut short as redundant": redundant, "choices in one": deepest,
		},
		Skipped: skipped(most >= *orders, fmt.Sprintf("at most %d orders of each", most)),
	})
}
