package reconnect

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// State is what a Client is doing.
type State uint8

// The states. A client goes from Connecting to Connected or Disconnected, from Connected to
// Disconnected, from Disconnected to Connecting. GaveUp and Closed are the last one, either of
// them, and may follow any other.
const (
	Connecting   State = iota // an attempt is under way
	Connected                 // the connection is open
	Disconnected              // there is no connection; the next attempt comes after a wait
	GaveUp                    // ended by itself: too many attempts, an error that Retry refuses, the dialer's end
	Closed                    // ended by Close or by its context
)

var stateNames = [...]string{"connecting", "connected", "disconnected", "gave up", "closed"}

// String returns the state in words.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

// Event says that a Client has come to a state.
type Event struct {
	Client *Client
	State  State
	// Attempt counts the attempts since the last connection that lived for StableAfter, from 1.
	Attempt int
	// Socket is the connection's, where the state is Connected.
	Socket protocol.Socket
	// Reason is what ended the connection, where the state is Disconnected and there was one. It is
	// ReasonNone where the attempt failed.
	Reason protocol.Reason
	// Err is why the attempt failed, what ended the connection (nil for an orderly end), or why the
	// client ended.
	Err error
	// Wait is the time until the next attempt, where the state is Disconnected.
	Wait time.Duration
	// MaybeSent counts the writes that the connection took with it: each got the outcome MaybeSent,
	// or is sent again because it is idempotent.
	MaybeSent int
}

// Tell returns a Notify that sends each event to an actor, as *Event. sender is the root context of
// the actor's system.
func Tell(sender actor.SenderContext, pid *actor.PID) func(Event) {
	return func(e Event) { sender.Send(pid, &e) }
}

// Outcome is what is known of a write in the end.
type Outcome uint8

// The outcomes.
const (
	// Written: the kernel has taken all its bytes. The peer may still not get them, if the
	// connection is reset or the network fails.
	Written Outcome = iota
	// NeverSent: not one of its bytes was sent.
	NeverSent
	// MaybeSent: the connection ended with it. Some of its bytes, or all, may have been sent.
	MaybeSent
)

var outcomeNames = [...]string{"written", "never sent", "maybe sent"}

// String returns the outcome in words.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "unknown"
}
