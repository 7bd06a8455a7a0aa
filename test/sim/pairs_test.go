package sim

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/simnet"
)

// cause is one thing that ends a connection.
type cause struct {
	name   string
	reason protocol.Reason
	clock  bool          // it comes by itself, after its time
	effect time.Duration // how long it takes to have its effect, at most
	end    func(s *stage, p *history.Peer)
}

const (
	limitOfPairs = 10 * time.Second
	lookOfPairs  = 62500 * time.Microsecond // how often the sweep looks: a sixteenth of CloseTimeout, the shortest limit
	stallOfPairs = 1 << 10                  // more than the network holds
)

var causesOfPairs = []cause{
	{name: "FIN", reason: protocol.ReasonPeerClosed, end: func(_ *stage, p *history.Peer) { _ = p.CloseWrite() }},
	{name: "RST", reason: protocol.ReasonPeerReset, end: func(_ *stage, p *history.Peer) { _ = p.Reset() }},
	{name: "idle", reason: protocol.ReasonIdleTimeout, clock: true},
	{name: "stall", reason: protocol.ReasonWriteTimeout, clock: true},
	{name: "error", reason: protocol.ReasonHandlerError, end: func(s *stage, p *history.Peer) { s.tell(p, "fail") }},
	{name: "panic", reason: protocol.ReasonHandlerPanic, end: func(s *stage, p *history.Peer) { s.tell(p, "panic") }},
	{name: "Abort", reason: protocol.ReasonLocalAborted, end: func(s *stage, p *history.Peer) { s.socket(p.Number()).Abort() }},
	{name: "Shutdown", reason: protocol.ReasonShutdown, effect: 10 * time.Millisecond, end: func(s *stage, _ *history.Peer) {
		s.recorder.Note(history.ShutdownBegun)
		s.system.Root.Send(s.listener.PID(), &protocol.Shutdown{Deadline: time.Now()})
	}},
	{name: "Stop", reason: protocol.ReasonStopped, end: func(s *stage, p *history.Peer) { s.socket(p.Number()).Stop(s.system) }},
	{name: "Poison", reason: protocol.ReasonStopped, end: func(s *stage, p *history.Peer) { s.socket(p.Number()).Poison(s.system) }},
	{name: "parent Stop", reason: protocol.ReasonShutdown, effect: 2 * time.Second, end: func(s *stage, _ *history.Peer) {
		s.recorder.Note(history.ShutdownBegun)
		s.system.Root.Stop(s.owner)
	}},
}

// tell makes the handler fail, or panic, at its next message.
func (s *stage) tell(p *history.Peer, how string) {
	socket := s.socket(p.Number())
	s.mu.Lock()
	s.orders[p.Number()] = how
	s.mu.Unlock()
	s.mail.Task(socket)
}

var errAsked = errors.New("asked to fail")

// obedient is a handler that fails as tell sets.
type obedient struct{ s *stage }

func (o obedient) Accepted(socket protocol.Socket) error {
	o.s.met(socket)
	return nil
}

func (obedient) Data(_ protocol.Socket, b *protocol.Buffer) error {
	b.Discard(b.Len())
	return nil
}

func (o obedient) Message(_ actor.Context, socket protocol.Socket, _ any) error {
	o.s.mu.Lock()
	how := o.s.orders[socket.(*history.Socket).Conn()]
	o.s.mu.Unlock()
	if how == "panic" {
		panic(errAsked)
	}
	return errAsked
}

func (obedient) Closed(protocol.Socket, *protocol.Closed) {}

// pair ends a connection by two causes. If settled is true, the first one has had its effect before
// the second one comes. Otherwise they come at once. It returns how the connection ended.
func pair(t *testing.T, first, second cause, settled bool) (closed *protocol.Closed, violations []check.Violation, records []history.Record) {
	name := fmt.Sprintf("%s and %s", first.name, second.name)
	err := inBubble(t, name, func() {
		o := connection.Options{WriteTimeout: -1, CloseTimeout: time.Second, DrainQuiet: time.Second}
		by := func(name string) bool { return first.name == name || second.name == name }
		if by("idle") {
			o.IdleTimeout = limitOfPairs
		}
		if by("stall") {
			// The time begins when a sweep has seen the write, and one more sweep has it tried a
			// last time.
			o.WriteTimeout = limitOfPairs - 2*lookOfPairs
			if by("idle") {
				o.IdleTimeout = o.WriteTimeout
			}
			o.ReadGate = connection.GateOff // or the peer's FIN would wait behind it
		}
		var s *stage
		factory := tcpactor.Handlers(func() tcpactor.Handler { return obedient{s} })
		s = newStage(t, simnet.Options{BufferSize: stallOfPairs / 2, Window: stallOfPairs / 2}, listener.Options{Connection: o, ShutdownTimeout: time.Second}, factory)
		p := s.dial()
		s.rest()
		if by("stall") {
			_, _ = s.socket(p.Number()).Write(make([]byte, stallOfPairs))
			s.rest()
		}
		wait := func() { time.Sleep(max(0, limitOfPairs-s.recorder.Since())) }
		if !settled && (first.clock || second.clock) {
			wait()
		}
		for _, c := range []cause{first, second} {
			switch {
			case !c.clock:
				c.end(s, p)
			case settled:
				wait()
			}
			if settled {
				s.rest()
				time.Sleep(c.effect)
				s.rest()
			}
		}
		records = s.finish(s.close)
		closed, violations = closings(records)[p.Number()], check.Violations(s.world(), records)
	})
	if err != nil {
		t.Errorf("%s: %v", name, err)
	}
	return closed, violations, records
}

// S4: for every pair of causes the first one wins, and Closed comes once.
func TestOfTwoCausesTheFirstOneWins(t *testing.T) {
	began, pairs := time.Now(), 0
	for _, first := range causesOfPairs {
		for _, second := range causesOfPairs {
			pairs++
			for _, settled := range []bool{true, false} {
				name := fmt.Sprintf("%s then %s, settled: %v", first.name, second.name, settled)
				closed, violations, records := pair(t, first, second, settled)
				for _, v := range violations {
					t.Errorf("%s: %v\n%s", name, v, strings.Join(story(records, v), "\n"))
				}
				switch { // two clocks run out at the same moment
				case closed == nil:
					t.Errorf("%s: no Closed", name)
				case first.name == "RST" && closed.Reason == protocol.ReasonPeerClosed && transport.IsReset(closed.Err):
					// A reset is reported once. If the writer got it, the reader finds the end of
					// the input, and may be faster.
				case settled && closed.Reason != first.reason && !(first.clock && second.clock), closed.Reason != first.reason && closed.Reason != second.reason:
					t.Errorf("%s: %v", name, closed.Reason)
				}
			}
		}
	}
	report.Add(t, report.Row{ID: "S4", Holds: "G1", Duration: time.Since(began), Figures: map[string]any{"pairs": pairs, "ways": 2, "violations": 0}})
}
