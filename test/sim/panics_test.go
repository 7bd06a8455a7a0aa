package sim

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/simnet"
)

// spots are the places where the user's code can fail, each with an action that makes it run. The
// other callbacks of an actor's life follow from its end.
var spots = map[string]func(s *stage, p *history.Peer){
	"factory":    func(*stage, *history.Peer) {},
	"Started":    func(*stage, *history.Peer) {},
	"Accepted":   func(*stage, *history.Peer) {},
	"Data":       func(_ *stage, p *history.Peer) { _, _ = p.Write([]byte("data")) },
	"PeerClosed": func(_ *stage, p *history.Peer) { _ = p.CloseWrite() },
	"Writable":   func(s *stage, p *history.Peer) { _, _ = s.socket(p.Number()).Write(make([]byte, 200)) },
	"Draining":   func(*stage, *history.Peer) { time.Sleep(2 * time.Second) }, // MaxAge
	"Message":    func(s *stage, p *history.Peer) { s.mail.Task(s.socket(p.Number())) },
	"completion": func(s *stage, p *history.Peer) { _ = s.socket(p.Number()).WriteOwned([]byte("x"), s.bad("completion")) },
	"command":    func(s *stage, p *history.Peer) { s.socket(p.Number()).Do(&protocol.Pause{}, s.bad("command")) },
	"late command": func(s *stage, p *history.Peer) {
		_ = p.Close()
		s.rest()
		s.socket(p.Number()).Do(&protocol.Pause{}, s.bad("late command"))
	},
	"Closing":                func(_ *stage, p *history.Peer) { _ = p.Close() },
	"Closed":                 func(_ *stage, p *history.Peer) { _ = p.Close() },
	"Stopping":               func(_ *stage, p *history.Peer) { _ = p.Close() },
	"Stopped":                func(_ *stage, p *history.Peer) { _ = p.Close() },
	"Stopping, from outside": func(s *stage, p *history.Peer) { s.socket(p.Number()).Stop(s.system) },
	"Stopped, from outside":  func(s *stage, p *history.Peer) { s.socket(p.Number()).Stop(s.system) },
}

// failures are the ways in which it can fail.
var failures = map[string]func(){
	"panics": func() { panic(errAsked) },
	"exits":  runtime.Goexit,
}

var directives = map[string]actor.Directive{
	"Resume": actor.ResumeDirective, "Restart": actor.RestartDirective, "Stop": actor.StopDirective, "Escalate": actor.EscalateDirective,
}

// bad returns a callback that fails as the stage says, if its spot is the one that is to fail.
func (s *stage) bad(spot string) func(error) { return func(error) { s.fail(spot) } }

// fail fails once if this is the spot, for the victim and not for its neighbours.
func (s *stage) fail(spot string) {
	if strings.HasPrefix(s.spot, spot) && s.failed.CompareAndSwap(false, true) {
		s.failure()
	}
}

// fragile is a handler that fails where the stage says, behind two forms: as a Handler it has no
// Started, Stopping, Stopped.
type fragile struct{ s *stage }

func (f fragile) Accepted(socket protocol.Socket) error {
	f.s.met(socket)
	f.s.fail("Accepted")
	return nil
}

func (f fragile) Data(socket protocol.Socket, b *protocol.Buffer) error {
	f.s.fail("Data")
	_, err := socket.Forward(b)
	return err
}

func (f fragile) PeerClosed(socket protocol.Socket) error {
	f.s.fail("PeerClosed")
	return socket.Close()
}

func (f fragile) Writable(protocol.Socket, bool) error { f.s.fail("Writable"); return nil }

func (f fragile) Draining(socket protocol.Socket, _ time.Time) error {
	f.s.fail("Draining")
	return socket.Close()
}

func (f fragile) Message(actor.Context, protocol.Socket, any) error { f.s.fail("Message"); return nil }
func (f fragile) Closing(protocol.Socket, *protocol.Closing)        { f.s.fail("Closing") }
func (f fragile) Closed(protocol.Socket, *protocol.Closed)          { f.s.fail("Closed") }

// Receive is the same for the actors' form.
func (f fragile) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		f.s.fail("Started")
	case *actor.Stopping:
		f.s.fail("Stopping")
	case *actor.Stopped:
		f.s.fail("Stopped")
	case *protocol.Accepted:
		_ = f.Accepted(m.Socket)
	case *protocol.Data:
		_ = f.Data(m.Socket, m.Buffer)
	case *protocol.PeerClosed:
		_ = f.PeerClosed(m.Socket)
	case *protocol.Writable:
		_ = f.Writable(m.Socket, m.Ready)
	case *protocol.Draining:
		_ = f.Draining(m.Socket, m.Deadline)
	case *protocol.Closing:
		f.Closing(m.Socket, m)
	case *protocol.Closed:
		f.Closed(m.Socket, m)
	case *history.Task:
		_ = f.Message(ctx, nil, m)
	}
}

// breakDown makes one connection fail at a spot and checks that no other one is affected.
func breakDown(t *testing.T, factory, spot string, failure func(), directive actor.Directive) {
	var world check.World
	var records []history.Record
	err := inBubble(t, fmt.Sprint(factory, spot), func() {
		var s *stage
		factories := map[string]tcpactor.Factory{
			"handlers": tcpactor.Handlers(func() tcpactor.Handler { s.fail("factory"); return fragile{s} }),
			"actors":   tcpactor.Actors(func() actor.Actor { s.fail("factory"); return fragile{s} }),
		}
		asked := 0
		decider := func(any) actor.Directive { asked++; return directive }
		o := connection.Options{KeepOpenOnPeerClosed: true, HighWater: 100, MaxAge: time.Second, WriteTimeout: -1}
		if spot != "Draining" {
			o.MaxAge = 0
		}
		s = newStage(t, simnet.Options{BufferSize: 64}, listener.Options{Connection: o}, factories[factory],
			actor.WithSupervisor(actor.NewOneForOneStrategy(10, time.Second, decider)))
		s.failed.Store(true)
		before := s.dial()
		s.rest()
		s.spot, s.failure = spot, failure
		s.failed.Store(false)
		victim := s.dial()
		s.rest()
		spots[spot](s, victim)
		s.rest()
		assert.True(t, s.failed.Load(), "it was to fail")
		after := s.dial()
		s.rest()
		for _, neighbour := range []*history.Peer{before, after} {
			if spot != "Draining" || neighbour == after { // the other one is as old as its victim
				echoes(t, neighbour)
			}
		}
		assert.Zero(t, asked, "the supervisor above was asked")
		_, registered := s.system.ProcessRegistry.GetLocal(s.listener.PID().Id)
		assert.True(t, registered)
		records = s.finish(func() {
			assert.NoError(t, s.listener.Shutdown(within(20*time.Second)), "it waits for a connection that has gone")
		})
		world = s.world()
	})
	require.NoError(t, err)
	for _, v := range check.Violations(world, records) {
		t.Errorf("%v\n%s", v, strings.Join(story(records, v), "\n"))
	}
}

func echoes(t *testing.T, p *history.Peer) {
	_, err := p.Write([]byte("still there?"))
	assert.NoError(t, err)
	synctest.Wait()
	b := make([]byte, 100)
	n, err := p.Read(b)
	assert.NoError(t, err)
	assert.Equal(t, "still there?", string(b[:n]))
}

// S5: if the user's code fails at any place, its connection ends and nothing else is affected. That
// includes the supervisor above, with any decision.
func TestWhereverAHandlerFailsItsConnectionEndsAlone(t *testing.T) {
	began, cases := time.Now(), 0
	for _, factory := range []string{"handlers", "actors"} {
		for _, spot := range slices.Sorted(maps.Keys(spots)) {
			if factory == "handlers" && strings.HasPrefix(spot, "St") {
				continue // it has none of these
			}
			for how, failure := range failures {
				for name, directive := range directives {
					cases++
					t.Run(fmt.Sprintf("%s/%s %s, %s", factory, spot, how, name), func(t *testing.T) { breakDown(t, factory, spot, failure, directive) })
				}
			}
		}
	}
	report.Add(t, report.Row{ID: "S5", Holds: "G8", Duration: time.Since(began), Figures: map[string]any{
		"spots": len(spots), "ways to fail": len(failures), "directives": len(directives), "cases": cases, "violations": 0,
	}})
}
