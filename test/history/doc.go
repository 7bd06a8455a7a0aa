// Package history records what an observer outside of Berth sees of it: the calls of handlers, the
// operations of whoever has a handle or a PID, and what the peers send and receive. A history is a
// slice of records in one order; package check judges it.
//
//	record.go    what one record can be
//	recorder.go  the slice, which any goroutine appends to
//	factory.go   a factory whose handlers' calls are recorded
//	socket.go    a handle whose calls are recorded
//	mail.go      commands by PID, with their answers and dead letters
//	peer.go      the client's end of a connection
//
// Whatever takes time has two records, one before and one after. So the order of the records is one
// in which things may really have happened, and a rule is broken only if it is broken in every
// order that lies between them.
package history
