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
// wait is over, a timer that fires. Each becomes a [Step] that waits to be picked. The run picks one
// and lets it go on, alone, until it and all that it woke wait again (synctest.Wait). So two
// goroutines never run at the same time, and the order of the picks is the order of the world. Time
// passes only when nothing else can go on. What Berth draws at random comes from the run, too.
//
// # What runs where
//
//	a turn of a connection, its writer, the supervisor, an acceptor, late completions
//	                    one step for each message (Options.Throughput); the pool's seam
//	actors of the user  one step for each turn, on a tcpactor.Pool, as actor.WithDispatcher takes it
//	a turn that blocks  stays where it is, as on a pool; the steps of others go on
//
// These have a goroutine of their own, also here. Each begins, and goes on after each wait, as a
// step:
//
//	the reader of a stream, one for each connection   net.Conn.Read blocks
//	the accept loop                                   net.Listener.Accept blocks
//	the sweep, the reaper                             they wait for the clock, and for the end of everything
//	callbacks of the user (event stream, alarms)      they may panic, call Goexit, or never return
//	the watch of a blocked write, the pace's timer, delays, a drain's clock
//	                                                  a timer's function has a goroutine in Go
//	the reader of a file that the kernel cannot send  a read of a pipe blocks
//	a client and a server end of test/simnet          they wait as on a network; its waits are steps
//	the world's own goroutines: driver, clients, writes that wait
//
// These run beside the step that wakes them, as nothing of theirs can be seen in a history:
//
//	the dead letters' throttle of Proto.Actor         it counts what was logged
//	a context's timer                                 it closes a channel; what waits for that is a step
//	the wait of an actor.Future                       whoever waits for one says so by seam.Wait
//
// [Options.Strict] finds goroutines that take part in a run and were not picked.
//
// # What is not here
//
// The event loop and the poll transport: their events come from the kernel, which no bubble
// controls. test/conformance and test/storm test them on real sockets, and actor tests the event
// loop's hand-over. Go's own choice within a select with several channels that are ready is taken
// out where it matters: the code looks at them in a fixed order first.
package sched
