// Package sched runs a world one step at a time, in an order that a seed decides, by priorities, or
// in every order there is.
//
//	sched.go    a run: what can go on, and what goes on next
//	policy.go   random order, priorities (PCT), and what was picked before
//	explore.go  every order, without those that differ in independent steps only
//	points.go   points in the middle of a turn, put in by go build -overlay
//
// [Do] runs a function in a bubble of testing/synctest. Package internal/seam tells the run of
// everything in Berth that is to go on: the turn of an actor, a goroutine that begins, one whose
// wait is over, a timer that fires. Each becomes a [Step] that waits to be picked. The run picks
// one and lets it go on, alone, until it and all that it woke wait again (synctest.Wait). So two
// goroutines never run at the same time, and the order of the picks is the order of the world. Time
// passes only when nothing else can go on. What Berth draws at random comes from the run, too.
//
// # What runs where
//
// These have no goroutine of their own:
//
//	turns of Berth's actors  a step for each message (Options.Throughput)
//	turns of other actors    a step each; they run on a tcpactor.Pool, by actor.WithDispatcher
//
// A turn that blocks stays where it is, as on a pool, and others go on. These have a goroutine of
// their own, also here. Each begins, and goes on after each wait, as a step:
//
//	a stream's reader        net.Conn.Read blocks
//	the accept loop          net.Listener.Accept blocks
//	the sweep, the reaper    they wait for the clock, and for the end of everything
//	callbacks of the user    they may panic, call Goexit, or never return
//	functions of timers      Go gives each a goroutine: the watch of a blocked write, delays
//	the reader of a file     a read of a pipe blocks
//	workers of an EventLoop  they poll, and wait for work
//	its monitor              it waits for the clock
//	both ends of simnet      they wait as on a network
//	the world's own          the driver, clients, writes that wait
//
// These run beside the step that wakes them. A history shows nothing of them:
//
//	the dead letters' throttle  of Proto.Actor; it counts what was logged
//	a context's timer           it closes a channel; what waits for that is a step
//	waits for an actor.Future   a caller in a world goes on as a step, by seam.Wait
//
// [Options.Strict] finds goroutines that take part in a run and were not picked.
//
// # What is not here
//
// The kernel. A run only asks it, between two steps, for those that wait for something outside of
// the bubble (Run.Until): the event loop of the poll transport for its poll set, a client for its
// socket. That makes one history of a seed where what one end does has reached the other when the
// system call returns. On Linux that is so for unix sockets, and test/sim runs the poll transport
// over them. Over TCP it is not, nor are the goroutines here that a handshake of TLS on the poll
// transport borrows: test/conformance and test/storm test these on real sockets.
//
// The event loop is also here alone: actor's handover_test.go runs its workers and its monitor over
// a poll set in memory, with handlers that block.
//
// Go's own choice within a select with several channels that are ready is taken out where it
// matters: the code looks at them in a fixed order first.
package sched
