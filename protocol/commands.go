package protocol

import (
	"crypto/tls"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// COMMANDS TO A CONNECTION: any goroutine and any actor of the same process may send them to its
// PID. Proto.Actor's remoting carries protobuf messages only, and these are none: a command that is
// sent to another node is logged and dropped there, and its sender gets no answer. Package wire has
// the forms of these commands that may be sent to a PID of any node.
//
// Every command may carry an Ack. When it is not nil and the message has a sender, the sender gets
// one answer that repeats it: Written or WriteFailed for a Write, Done for every other command. A
// connection that is ending or has ended answers a Write with WriteFailed, or dead-letters it if it
// has no sender; once its PID is forgotten, every message is a dead letter (and its sender gets
// Proto.Actor's DeadLetterResponse). An end may take CloseTimeout and LingerTimeout: an actor that
// writes to many connections stops writing to one at its Closing, or at the first WriteFailed.

// Command is one of Write, Pause, Resume, Close, CloseWrite, Abort, Detach, Link, Unlink, Become,
// StartTLS. GetInfo is a question, not a command: its answer is Info.
type Command interface{ command() }

// Write asks the connection to send Data. The bytes belong to the connection from the moment the
// message was sent: the sender must not change them afterwards.
//
// A Write that does not fit into the write queue puts no byte on the wire: the sender gets
// WriteFailed with ErrWriteQueueFull, ErrWriteBufferFull or ErrMemoryBudget, whether or not Ack is
// set, and once there is room again WriteReady. Where SlowDropNewest drops it, an Ack or a Token
// gets WriteFailed with ErrDropped.
type Write struct {
	Data []byte
	Ack  any
	// Token comes back in WriteFailed only: for a sender that wants no answer to what went well,
	// and must know which write failed.
	Token any
}

// Pause stops the delivery of Data. It takes effect when the connection processes it, and it is
// strict: from then on no Data arrives until a Resume. Pausing twice is the same as pausing once.
type Pause struct{ Ack any }

// Resume allows Data again. If unread bytes wait in the buffer, Data is delivered at once, even
// without new bytes; without any, the next Data comes with the next bytes.
//
// Credit counts in units of Data. In push mode 0 means without limit, and n > 0 means: n times
// Data, then pause by itself. In pull mode 0 means 1. Less than 0 is 0. Credits add up and
// saturate; they never overflow.
type Resume struct {
	Credit int
	Ack    any
}

// Close flushes every accepted write, sends FIN, discards the peer's remaining input until its FIN
// (so that the kernel does not answer it with RST, which would destroy the reply on its way), then
// closes. The flush ends within CloseTimeout, the wait for the peer's FIN within LingerTimeout. It
// needs no place in the write queue, is never refused, and closing twice is the same as closing
// once. Its Ack is answered when the socket is closed.
type Close struct{ Ack any }

// CloseWrite flushes every accepted write and sends FIN; reading goes on. Its Ack is answered when
// the FIN was sent.
type CloseWrite struct{ Ack any }

// Abort closes at once with RST. Queued writes are not sent; they are counted as unsent in Closed.
type Abort struct{ Ack any }

// Detach takes a long-lived connection out of its listener's count: its permits among
// MaxConnections and MaxConnectionsPerIP are free for others from now on. Detaching twice is the
// same as once, and for a connection that has ended it does nothing.
type Detach struct{ Ack any }

// Link ties the ends of the connection and of an actor: when the actor ends, the connection is
// closed with ReasonLinkDown; when the connection ends, the actor is stopped. If the actor has
// ended already, or PID is nil, the connection is closed; if the connection has, the actor is
// stopped, and Done says ErrClosed. There may be many links; twice to the same actor is the same as
// once.
//
// If the actor is another connection of this actor system, of any listener, each ends as the other
// did. After an orderly end it is closed as by Close, and its accepted writes are flushed. After a
// reset, an Abort or a Stop it is reset. Its reason is ReasonLinkDown.
type Link struct {
	PID *actor.PID
	Ack any
}

// Unlink undoes a Link. It is not an error if there is none.
type Unlink struct {
	PID *actor.PID
	Ack any
}

// Become gives the connection another handler, for another protocol on the same socket: what
// follows an upgrade of HTTP, for example. Handler makes it, in any form.
//
// It takes effect in the order of the messages: the old handler gets those sent before, and returns
// from what it is doing. The new one gets Accepted, as after a restart (an actor gets Started
// before), then exactly the unread bytes as Data, even if no new ones come. Pause, demand,
// timeouts, links, Value, addresses and PID stay as they are; what the old handler needed by
// Buffer.Need is forgotten. Writes accepted before stay queued, and their completions still run.
// The new handler gets again the events that still hold: Writable not ready, Draining, PeerClosed.
//
// What Wrap puts around the old handler goes with it, and what WrapAll puts around a connection's
// handlers stays around the new one.
//
// The old handler gets nothing more, neither Closing nor Closed: these tell of the connection's
// end, and come to the last handler. An actor gets Restarting, its children are stopped, and the
// new handler comes once they have ended; what it watched stays watched. After a panic, where
// RestartHandler allows that, the replacement is made by Handler; Restarts counts from 0 again.
//
// If the connection has begun to end the answer is ErrClosed, or what ended it, and the old handler
// stays.
type Become struct {
	Handler Factory
	Ack     any
}

// StartTLS puts TLS over an open connection, as STARTTLS does in SMTP and IMAP. At a connection
// that was accepted this side is TLS's server, at one that was dialled the client; there, a Config
// without a ServerName gets the host of the dialled address. Config must not be changed any more.
//
// It is ordered with writes. What was written before goes out in plain text, the answer that allows
// the switch for example; what is written after waits for the handshake and goes out encrypted,
// never in plain text. No Data comes until the handshake is done, and then only what TLS has
// decrypted. Then the handler gets TLSStarted, and Done is sent. Pause and demand hold for Data,
// not for the handshake.
//
// Bytes in plain text that came before the switch end the connection with ErrBytesBeforeTLS: they
// are neither shown to the handler nor read as TLS. Those are bytes that the handler has not
// consumed when StartTLS takes effect, bytes that came before this side's last ones in plain text
// were written, and whatever comes in the place of TLS's first record.
//
// The handshake has HandshakeTimeout, from when the bytes in plain text are written. If it fails,
// the connection ends with ReasonHandshake and is reset; writes behind the switch fail with the
// error. A Close waits for the handshake, for CloseTimeout at most: what was written behind the
// switch is flushed over TLS.
//
// A connection has one StartTLS. The answer is an error, and the connection goes on as it was, if
// it has TLS already, is not open or has sent FIN, or if Config cannot serve: no certificate at the
// server's side, no ServerName at the client's.
type StartTLS struct {
	Config *tls.Config
	Ack    any
}

// GetInfo asks a connection, or a listener, for its Info. The sender gets it as a reply.
type GetInfo struct{}

func (*Write) command()      {}
func (*Pause) command()      {}
func (*Resume) command()     {}
func (*Close) command()      {}
func (*CloseWrite) command() {}
func (*Abort) command()      {}
func (*Detach) command()     {}
func (*Link) command()       {}
func (*Unlink) command()     {}
func (*Become) command()     {}
func (*StartTLS) command()   {}

// COMMANDS TO A LISTENER: any goroutine and any actor of the same process may send them to its PID.

// SuspendAccepting stops accepting. Clients wait in the kernel's backlog. With Refuse the kernel
// refuses them: clients that wait already are accepted, then the listening socket is closed. Refuse
// is an error for a listener that was made by Serve. Suspending twice is the same as once. With an
// Ack the sender gets Done.
type SuspendAccepting struct {
	Refuse bool
	Ack    any
}

// ResumeAccepting accepts again. A listening socket that was closed is opened at the same address.
// If another socket has taken the address meanwhile, the listener stays suspended, and may be told
// again. With an Ack the sender gets Done, which has the error.
type ResumeAccepting struct{ Ack any }

// Shutdown stops the listener: it accepts no more, its connections get Draining and time until
// Deadline, the rest is aborted, the listener's actor stops. A zero Deadline means ShutdownTimeout
// from now.
type Shutdown struct{ Deadline time.Time }
