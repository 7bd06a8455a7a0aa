package tcpactor

import "github.com/asynkron/protoactor-go/actor"

// turn is what a dispatcher runs: a mailbox, or a function.
type turn interface{ run() }

type function func()

func (f function) run() { f() }

// scheduler is a dispatcher as a mailbox uses it: an event loop and a pool take the mailbox as it
// is.
type scheduler interface {
	Throughput() int
	schedule(t turn)
}

// schedulerOf makes a scheduler of any dispatcher. If the dispatcher is none of this package's, the
// mailbox needs memory for the function that it hands over.
func schedulerOf(d actor.Dispatcher, t turn) scheduler {
	if s, ok := d.(scheduler); ok {
		return s
	}
	return &stranger{d, t.run}
}

// stranger schedules one turn, always the same, on a dispatcher that takes functions.
type stranger struct {
	actor.Dispatcher
	run func()
}

func (s *stranger) schedule(turn) { s.Schedule(s.run) }
