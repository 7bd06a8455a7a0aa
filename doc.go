// Package berth serves TCP and unix sockets with actors: each connection is an actor of
// Proto.Actor's, its handler runs one call at a time and may block, and a supervisor owns the
// listener.
//
//	echo := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
//		_, err := socket.Forward(data)
//		return err
//	})
//	log.Fatal(berth.ListenAndServe("127.0.0.1:7000", echo))
//
// A handler has one of four forms, and each is a Factory:
//
//   - HandlerFunc: a function that is shown the bytes.
//   - Handlers: one Handler value for each connection; more methods are optional.
//   - Functions: three functions that thread a state, accept, read and close.
//   - Actors: an actor of the program's own is the connection.
//
// ListenAndServe serves until the server ends. Listen returns a Server, to query and to stop.
// ListenIn makes it a child in a supervision tree. Group sends one payload to many connections.
// Inherited, Serve, Reexec and Ready replace a process while it serves.
//
// The types below are aliases. go doc shows their methods and fields where they are declared, those
// of tcpactor in the directory actor:
//
//	go doc berth/protocol.Socket; go doc berth/actor.Functions
package berth
