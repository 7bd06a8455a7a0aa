// Package protocol defines the messages between connections, handlers and other actors: the
// commands, events and replies, the reasons and errors, the socket handle, and the Buffer that
// shows received bytes.
//
// It holds no socket and starts no goroutine. Messages are pointers to small structs of plain data,
// as Proto.Actor's own are: commands in the imperative (commands.go), events and replies in the
// past tense (events.go).
package protocol
