// Package listener handles many sockets: the supervisor actor that owns a listening socket, its
// acceptor and its connections.
//
//	supervisor ─┬─ acceptor      the accept loop
//	            └─ connections ─── connection ─── writer, for every socket
//
// Listen and Serve start one, from an actor system's root context or as a child of any actor.
package listener
