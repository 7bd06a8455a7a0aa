// Package connection runs one socket with two actors: the connection, which reads and calls the
// handler, and its writer.
//
// Programs import package berth. From this package they use Options, the limits and policies of a
// connection; Group, one payload for many connections; and the events of the actor system's
// EventStream: Opened, Closing, Closed, HandlerFailed, Warning and those of handshakes. The rest is
// for package listener.
//
// The files of the package:
//
//	connection.go  the actor and its mail
//	host.go        the handler: it is made, called under guard, and replaced after a panic
//	become.go      another handler on a live connection
//	starttls.go    TLS over a live connection
//	states.go      its life, from opening to closed
//	cause.go       why it ended, and the errors that tell of it
//	closing.go     the news that an end has begun
//	events.go      the other events of the event stream
//	warnings.go    conditions that hold for long, found by the sweep
//	measure.go     the time that handlers take
//	peer_end.go    the peer's end, while nothing is read
//	reading.go     input: demand of one, strict pause, read gate
//	need.go        input that a handler asks for: how many bytes, or what is left
//	commands.go    commands and their answers
//	socket.go      the methods of protocol.Socket
//	writer.go      the writer actor
//	restart.go     how often a handler that panics is replaced
//	budget.go      the memory of all connections together
//	reclaim.go     which connections wait for it, and which are ended
//	credit.go      the write queue's limits
//	room.go        writes that find no room: what is queued goes out first, a refusal is told
//	write_context.go  writes that wait for room
//	at_once.go     a goroutine that waits does the connection's work itself
//	slow.go        what happens to writes that do not fit
//	group.go       one payload for many connections
//	run.go         the writes of a group to one member that share an entry
//	timeouts.go    every limit of time, by a coarse sweep
//	clock.go       the clock that they are measured on
//	linger.go      the wait for the peer's FIN
//	own_timeouts.go  limits of time that one connection has of its own
//	drain.go       a shutdown, or MaxAge, as one connection sees it
//	age.go         when MaxAge is over, for each connection apart
//	watchers.go    actors that watch the connection hear of its end behind its replies
//	process.go     what a PID stands for
//	link.go        actors that end with the connection, and the connection with them
//	rare.go        what few connections have
//	spawner.go     what the connections of one listener have in common
//	dialled.go     connections that this side has opened
//	descriptor.go  the state of TLS, and the descriptor below
//	enclosing.go   whether a caller is one of their handlers
//
// Sockets themselves lie behind package transport.
package connection
