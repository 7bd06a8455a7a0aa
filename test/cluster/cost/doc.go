// Cost compares connections whose owner is an actor of another node with connections whose owner is
// an actor of the same node: messages per second, and processor time for a message at each node, in
// one run. Each node is a process of its own, and so are the clients: this program.
//
//	cd test/cluster
//	go run ./cost -preset short
//
// The rows:
//
//   - deliver: an owner sends Write messages to its connections by PID, with a bounded number that
//     have no answer, and counts the answers. "native" are the messages of package protocol, which
//     stay within a process; "wire" are those of package wire.
//   - echo: each client sends a message and waits for its echo. Either the connection's handler
//     answers, or the owner does: it gets Data, sends Handled and a Write.
//
// It runs on Linux.
package main
