// Package sessionnats keeps sessions (package session) in JetStream, the replicated store of NATS:
// they outlive the process that serves them, and a client that comes back to any gateway goes on
// where it was. It is a module of its own, because a server of NATS is large.
//
// Each process has a node of the store by default; nothing is installed:
//
//	store, err := sessionnats.Open(ctx, sessionnats.Options{Node: sessionnats.NodeOptions{
//		Name: "a", Dir: "/var/lib/chat", Cluster: "10.0.0.1:6222",
//		Peers: []string{"10.0.0.1:6222", "10.0.0.2:6222", "10.0.0.3:6222"},
//	}})
//	sessions := session.New(store, session.Options{})
//
// URLs names a cluster outside instead. StartNode is for a process that is a node and no more.
//
// Guarantees, with Replicas of 3:
//
//   - Every answer was confirmed by a quorum, two nodes of three: that a change is stored, and also
//     that a session is not there, or that a change was refused. No answer comes from an old copy.
//   - Updates of one session come one after another, from any number of processes. So a connection
//     that has lost its session to another gateway is fenced: its next call finds the new epoch.
//   - Without a quorum nothing is acknowledged. The error is ErrUnavailable where nothing has
//     changed, and ErrUnsure where it is not known. Nodes that answer within half a second leave
//     nothing unsure, also where ctx ends.
//   - What can never be stored is refused at once: ErrFull, ErrTooLarge, ErrRefused.
//
// A session is one message of NATS, with all that it keeps for its client as base64: 8 MiB at nodes
// of this package, and what their max_payload says at others, 1 MiB by default. Session limits that
// allow more are refused when a session is opened.
//
// What a node has confirmed is in the kernel's memory and survives the end of the process, kill -9
// included. Only with SyncAlways does it survive a loss of power of a quorum within two minutes.
package sessionnats
