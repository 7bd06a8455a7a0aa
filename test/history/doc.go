// Package history records what can be seen of Berth from outside: the calls of handlers, the
// operations through a handle or a PID, and what the peers send and receive. A history is a slice
// of records in one order; package check judges it.
//
//	record.go    what one record can be
//	recorder.go  the slice, which any goroutine appends to
//	factory.go   a factory that records the calls of its handlers
//	socket.go    a handle that records its calls
//	mail.go      commands by PID, with their answers and dead letters
//	peer.go      the client's end of a connection
//
// An operation that takes time has two records, one before and one after. The order of the records
// is therefore a possible order of the operations. A rule is broken only if it is broken in every
// order that the records allow.
package history
