// Package sim runs random histories and judges them.
//
//	plan_test.go       the options of one world, drawn from its seed
//	world_test.go      one world: a listener, its connections, their peers, and how all of it ends
//	driver_test.go     what is done to it, one random operation after another
//	handler_test.go    handlers that behave at random, behind each of the three forms
//	waits_test.go      writes that wait for room, in handlers and outside of them
//	client_test.go     the peers
//	ends_test.go       the network at their ends: whether it takes more, and when all is at rest
//	sim_test.go        many seeds over a simulated network in virtual time; how to run one again
//	poll_test.go       fewer, over real sockets
//
//	sequences_test.go  every short sequence of what can happen to one connection
//	cuts_test.go       a shutdown at each step of one scenario
//	pairs_test.go      two causes of an end at once
//	panics_test.go     a panic in every callback
//
// A seed determines the options, the driver's operations and their order, and what each handler
// does at its nth call. It does not determine in which order goroutines run that are ready at the
// same moment: timers that are due at the same moment fire in random order, and a goroutine may be
// preempted. A seed is run again on one processor, where every second world is the same to the last
// record, and until it fails.
package sim
