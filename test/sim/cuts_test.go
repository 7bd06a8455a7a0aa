package sim

import (
	"fmt"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/simnet"
)

// scenario is a world that is the same each time: its random steps come from one seed, and each
// step waits for its effect.
const scenario, scenarioSteps = 7, 200

func scenarioPlan() plan {
	return plan{
		listener: listener.Options{
			MaxConnections: 6,
			Connection: connection.Options{
				ReadBufferSize: 256, WriteBufferSize: 5000, HighWater: 1000, KeepOpenOnPeerClosed: true,
				IdleTimeout: 20 * time.Second, RestartHandler: connection.RestartHandler{Max: 1},
			},
		},
		network: simnet.Options{BufferSize: 1000, Latency: time.Millisecond},
		factory: "handlers",
		crowd:   8,
		faults:  true,
		fatal:   0.03,
		slow:    true,
	}
}

// ends are the ways to end a listener: without a deadline, at once, with a deadline that has
// passed, and by the end of the actor that owns it.
var ends = map[string]func(w *world){
	"shutdown": func(w *world) { _ = w.listener.Shutdown(within(20 * time.Second)) },
	"close":    func(w *world) { _ = w.listener.Close() },
	"deadline past": func(w *world) {
		w.system.Root.Send(w.listener.PID(), &protocol.Shutdown{Deadline: time.Now().Add(-time.Second)})
	},
	"system stop": func(w *world) { w.system.Root.Stop(w.owner) },
}

// owned is a simulated network with a listener that belongs to an actor of the user.
type owned struct{ simulated }

func (o *owned) listen(w *world) (l *listener.Listener, err error) {
	started := make(chan struct{})
	o.Listener = simnet.Listen(w.plan.network)
	w.recorder.Measure(o.clients.room)
	w.owner = w.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			defer close(started)
			l, err = listener.Serve(ctx, o.Listener, w.recorder.Watch(w.factory()), w.plan.listener)
		}
	}))
	<-started
	return l, err
}

// D3: a shutdown at each step of a scenario, in each way, leaves nothing: no goroutine (the bubble
// would not end), no actor, no socket.
func TestAShutdownAtAnyStepLeavesNothing(t *testing.T) {
	began, cuts, left := time.Now(), 0, 0
	for cut := 0; cut < scenarioSteps; cut += every() {
		for name, end := range ends {
			cuts++
			if !cutAt(t, cut, name, end) {
				left++
			}
		}
		if left > 0 {
			break
		}
	}
	report.Add(t, report.Row{
		ID: "D3", Holds: "G12", Duration: time.Since(began), Skipped: skipped(every() == 1, fmt.Sprintf("one step of %d", every())),
		Figures: map[string]any{"steps": scenarioSteps, "ways": len(ends), "cut points": cuts, "left over": left},
	})
}

func cutAt(t *testing.T, cut int, name string, end func(w *world)) bool {
	var violations []check.Violation
	var left error
	err := inBubble(t, fmt.Sprintf("%s at step %d", name, cut), func() {
		p := scenarioPlan()
		w := &world{seed: scenario, plan: p, ground: &owned{}, system: newSystem(), shut: end}
		records, err := w.history(cut)
		left, violations = err, check.Violations(p.world(), records)
	})
	for _, e := range []error{err, left} {
		if e != nil {
			t.Errorf("%s at step %d: %v", name, cut, e)
		}
	}
	for _, v := range violations {
		t.Errorf("%s at step %d: %v", name, cut, v)
	}
	return !t.Failed()
}
