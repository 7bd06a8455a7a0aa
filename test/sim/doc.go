// Package sim runs random histories and judges them.
//
//	plan_test.go       the options of one world, drawn from its seed
//	world_test.go      one world: a listener, its connections, their peers, and how all of it ends
//	driver_test.go     what is done to it, one random operation after another
//	handler_test.go    handlers that behave at random, behind each of the three forms
//	changes_test.go    handlers that need a number of bytes, take frames, or make room for others
//	waits_test.go      writes that wait for room, in handlers and outside of them
//	client_test.go     the peers
//	ends_test.go       the network at their ends: whether it takes more, and when all is at rest
//	sim_test.go        many seeds over a simulated network in virtual time
//	ordered_test.go    one goroutine at a time: a seed is one history
//	shrink_test.go     a failing history cut to the shortest, and printed as a test
//	small_test.go      every order of two moves on two connections
//	search_test.go     how many orders it takes to meet a defect, for package mutants
//	unix_linux_test.go the same on the poll transport, over the kernel's unix sockets
//	sockets_test.go    fewer, over TCP and in real time
//
//	sequences_test.go  every short sequence of what can happen to one connection
//	cuts_test.go       a shutdown at each step of one scenario
//	pairs_test.go      two causes of an end at once
//	panics_test.go     a panic in every callback
//
// A seed determines everything: the options, the driver's operations, what each handler does at its
// nth call, and in which order goroutines run ([sched]). So a world repeats to the last record, in
// any process. Its story line, a word that a failure prints, runs it again: by -sim.again, or as a
// test that calls replay.
//
// TestSimFree and the tests of single sequences leave the order to Go's scheduler, which can stop a
// goroutine anywhere. There a seed does not determine in which order goroutines run that are ready
// at the same moment.
package sim
