// Package conformance tests the contract. There is one file for each guarantee of
// docs/guarantees.md, one for the faults of the ancestor, and a few for the basis of the
// guarantees. Every test runs over every network of one table.
//
//	networks_test.go  the table: real sockets, TLS, a proxy, and simnet in a bubble
//	world_test.go     one test's surroundings: actor system, listeners, and the look for leaks
//	peer_test.go      the client's end of a connection
//	tape_test.go      the record of one connection's handler calls, and checks for all of them
//	forms_test.go     one script played through each of the three forms
//
// On real networks no test sleeps: it waits for an event. In a bubble time is virtual and exact.
package conformance
