// Package listener handles many sockets: the supervisor actor that owns a listening socket, its
// acceptor and its connections.
//
//	supervisor ─┬─ acceptor      the accept loop
//	            └─ connections ─── connection ─── writer, for every socket
//
// Listen and Serve start one, from an actor system's root context or as a child of any actor. A
// Dialer is one without a listening socket: it opens connections.
//
// Programs import package berth. The files of this package:
//
//	listener.go         the handle: start, queries, end
//	options.go          options, defaults, checks
//	server.go           what the actors of one listener share
//	supervisor.go       the actor at the top, and the parent of the connections
//	supervision.go      acceptors that end are made anew
//	shutdown.go         the drain and the end
//	listen_sockets.go   the listening sockets: accepted from or not, open or not
//	suspension.go       accepting is suspended and resumed, and ends
//	replacing.go        other options and handlers for a listener that runs
//	accepting.go        an accepted client becomes a connection, waits, or is refused
//	internal/admission  which clients may come in: MaxConnections, rates, addresses
//	client_queue.go     clients that wait for a permit (MaxWait)
//	refusing.go         clients that are turned away
//	intake.go           what a transport has to accept with
//	polling.go          the intake of the poll transport
//	streaming.go        the intake of the stream transport
//	dialing.go          outgoing connections
//	dial_connect.go     outgoing connections by message
//	dialer.go           a listener without a listening socket
//	memory.go           the memory budget, and the kernel's share of it
//	handover.go         the listening sockets go to another process
//	reexec.go           the program starts itself again
//	inherit.go          sockets from another process
//	proxy_protocol.go   clients that come through a proxy
//	unix_path.go        the path of a unix socket
//	guard.go            calls of the user's code that would not survive its panic
//	events.go           what is published on the event stream, and its log records
//	list.go             live connections, sorted and paged; warnings; how long work waits
//	public.go           whether clients from elsewhere reach an address
package listener
