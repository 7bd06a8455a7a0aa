package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// world is one listener with its connections and their peers, from the first client to the end of
// the listener.
type world struct {
	seed     uint64
	plan     plan
	ground   ground
	rng      *rand.Rand   // the driver's; each step begins anew, so that others can be left out
	source   *rand.PCG    // of rng
	taken    int          // steps of the driver
	kept     map[int]bool // if not nil: the steps that are made
	system   *actor.ActorSystem
	recorder *history.Recorder
	mail     *history.Mail
	listener *listener.Listener
	clients  []*client // all that ever were
	helpers  sync.WaitGroup
	shut     func(*world) // how it is to end; nil: at random
	owner    *actor.PID   // of the listener, if that is an actor
	parted   bool
	ticks    int // of the clock
	reads    int // that clients were told to do
	waits    waits

	mu       sync.Mutex
	players  []*player // the last ones of open connections, and of some that have ended
	mistakes []string  // what the players have met, and no record tells
}

// ground is the basis of a world: a network and a clock.
type ground interface {
	listen(w *world) (*listener.Listener, error)
	dial() (net.Conn, error)
	rest(w *world)    // until nothing moves, if that can be known
	answers(w *world) // waits for the callbacks of Do, at the end, if they do not come in the order of the world
	sleep(d time.Duration)
	patience() time.Duration // how long a handler may wait, at most
	left() string            // the parts of the network that are still open
}

func newSystem() *actor.ActorSystem { return tcpactor.NewSystem(setup.Silent()...) }

// history runs one world and returns its history.
func (w *world) history(steps int) ([]history.Record, error) {
	w.source = rand.NewPCG(w.seed, 0)
	w.rng = rand.New(w.source)
	w.recorder = history.NewRecorder()
	w.mail = w.recorder.Mail(w.system)
	var err error
	if w.listener, err = w.ground.listen(w); err != nil {
		return nil, err
	}
	for range steps {
		w.step()
	}
	w.begin(beforeEnd)
	w.heal()
	left := w.end()
	for _, c := range w.clients {
		c.finish()
	}
	join(&w.helpers)
	w.ground.rest(w)
	w.ground.answers(w)
	w.mail.Close()
	w.recorder.Note(history.Over)
	if network := w.ground.left(); network != "" {
		left = append(left, network)
	}
	if len(left) > 0 {
		err = fmt.Errorf("left over after the end: %s", strings.Join(left, ", "))
	}
	if len(w.mistakes) > 0 {
		err = errors.Join(err, errors.New(strings.Join(w.mistakes, "; ")))
	}
	return w.recorder.Records(), err
}

// end shuts the listener down, in one of many ways unless the way is given, while the world goes on
// for a while. It returns what is left after the listener has ended.
func (w *world) end() (left []string) {
	w.recorder.Note(history.ShutdownBegun)
	shut := w.shut
	if shut == nil {
		shut = w.anyEnd()
	}
	spawn(&w.helpers, func() { shut(w) })
	for range w.rng.IntN(20) {
		w.step()
	}
	w.begin(afterEnd)
	w.heal()
	await(w.listener.Done())
	left = actorsOf(w.system, w.listener.PID())
	if open := w.listener.Info().Open; open > 0 {
		left = append(left, fmt.Sprintf("%d connections", open))
	}
	if w.owner != nil {
		turn := seam.Wait()
		_ = w.system.Root.StopFuture(w.owner).Wait()
		turn.Over()
	}
	return left
}

func (w *world) anyEnd() func(*world) {
	timeout := pick(w.rng, 0, 10*time.Millisecond, 3*time.Second)
	switch w.rng.IntN(6) {
	case 0:
		return func(w *world) { _ = w.listener.Close() }
	case 1:
		return func(w *world) { w.system.Root.Stop(w.listener.PID()) }
	case 2:
		return func(w *world) {
			w.system.Root.Send(w.listener.PID(), &protocol.Shutdown{Deadline: time.Now().Add(timeout)})
		}
	default:
		return func(w *world) { _ = w.listener.Shutdown(within(timeout)) }
	}
}

// actorsOf returns the processes of a listener that are still registered.
func actorsOf(system *actor.ActorSystem, pid *actor.PID) (left []string) {
	for _, bucket := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
		bucket.IterCb(func(id string, _ any) {
			if strings.HasPrefix(id, pid.Id) {
				left = append(left, id)
			}
		})
	}
	return left
}

// join and gone are called by players, on their connections' turns.
// A player that takes the place of another has the same life: completions of the old one may still
// come.
func (w *world) join(p *player) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, before := range w.players {
		if before.socket.Conn() == p.socket.Conn() {
			p.life = before.life
			w.players[i] = p
			return
		}
	}
	p.life = new(life)
	w.players = append(w.players, p)
}

// mistake notes what must not be. Any goroutine may call it.
func (w *world) mistake(format string, values ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mistakes = append(w.mistakes, fmt.Sprintf(format, values...))
}

// gone notes the end of a connection and of its player.
func (w *world) gone(socket protocol.Socket) {
	conn := socket.(*history.Socket).Conn()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range w.players {
		if p.socket.Conn() == conn {
			p.ended.Store(true)
		}
	}
	// The oldest of those that have ended are forgotten; the others must still answer.
	for spare := len(w.players) - w.plan.crowd - remembered; spare > 0; spare-- {
		i := slices.IndexFunc(w.players, func(p *player) bool { return p.ended.Load() })
		if i < 0 {
			return
		}
		w.players = slices.Delete(w.players, i, i+1)
	}
}

// remembered is how many players are remembered after their connection has ended.
const remembered = 3

// any returns one of the players, nil if there is none.
func (w *world) any(rng *rand.Rand) *player {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.players) == 0 {
		return nil
	}
	return w.players[rng.IntN(len(w.players))]
}

// operations counts the operations of all issuers on the world, but not its answers.
func (w *world) operations(records []history.Record) int {
	n := w.ticks + w.reads
	for i := range records {
		switch records[i].What {
		case history.Begin, history.Dialed, history.Sending, history.Finishing, history.Closing, history.Resetting,
			history.Parted, history.Healed, history.Suspended, history.Resumed:
			n++
		default:
		}
	}
	return n
}
