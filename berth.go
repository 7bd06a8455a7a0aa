package berth

import (
	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// Types that a handler is given.
type (
	// Socket is a handler's handle on its connection. Any goroutine may call its methods, also
	// after the connection has ended.
	Socket = protocol.Socket
	// Buffer shows the unread bytes. What the handler does not consume stays and leads the next
	// call.
	Buffer = protocol.Buffer
	// Closed says why a connection ended, and counts its bytes.
	Closed = protocol.Closed
	// Closing says what has begun to end a connection.
	Closing = protocol.Closing
	// Reason is what ended a connection.
	Reason = protocol.Reason
	// Stats counts the bytes of one connection.
	Stats = protocol.Stats
	// Timeouts are limits of time that one connection has instead of its server's.
	Timeouts = protocol.Timeouts
	// Info describes one connection at one moment.
	Info = protocol.Info
	// State is how far a connection has come: Info.State.
	State = protocol.State
)

// The other events of a connection, which come to its actor's Receive as pointers, one at a time.
// An event is valid during the call that delivers it. Closing and Closed are events too.
type (
	// Accepted is the first event.
	Accepted = protocol.Accepted
	// Data shows the unread bytes.
	Data = protocol.Data
	// PeerClosed tells of the peer's FIN, with KeepOpenOnPeerClosed.
	PeerClosed = protocol.PeerClosed
	// Writable says on which side of its limits the write queue is.
	Writable = protocol.Writable
	// Draining tells of a shutdown, or of the connection's MaxAge.
	Draining = protocol.Draining
	// TLSStarted tells that the handshake of a StartTLS is done.
	TLSStarted = protocol.TLSStarted
)

// Messages that any goroutine and any actor of this process may send to a connection's PID, as
// pointers, and their answers. An answer comes to the sender and repeats the message's Ack. Package
// protocol has more of both.
type (
	// Write asks for its Data to be sent. The sender must not change the bytes afterwards.
	Write = protocol.Write
	// Written answers a Write with an Ack: the kernel has taken all its bytes.
	Written = protocol.Written
	// WriteFailed answers a Write that was refused, or whose bytes could not all be sent. Err says
	// why.
	WriteFailed = protocol.WriteFailed
	// WriteReady follows a WriteFailed for lack of room, once there is room again.
	WriteReady = protocol.WriteReady
	// Pause stops the Data.
	Pause = protocol.Pause
	// Resume allows it again; with a Credit, so many times.
	Resume = protocol.Resume
	// Close flushes what was accepted, then closes.
	Close = protocol.Close
	// Become gives the connection another handler, which is shown the unread bytes.
	Become = protocol.Become
	// StartTLS puts TLS over the connection, in order with writes.
	StartTLS = protocol.StartTLS
	// Abort resets the connection at once.
	Abort = protocol.Abort
	// Done answers Pause, Resume, Close, Abort, Become and StartTLS with an Ack.
	Done = protocol.Done
)

// Types by which a program defines what its connections do.
type (
	// Factory makes what handles one connection: HandlerFunc, Handlers, Functions, Actors, or one
	// of these in Wrap or Frames.
	Factory = tcpactor.Factory
	// Handler shows the bytes of one connection to a value of its own. Only the first of these
	// methods is required. Each of the others has an interface, such as AcceptedHandler:
	//
	//	Data(socket Socket, data *Buffer) error                      // the unread bytes
	//	Accepted(socket Socket) error                                // first: it is open
	//	TLSStarted(socket Socket) error                              // StartTLS: encrypted now
	//	PeerClosed(socket Socket) error                              // with KeepOpenOnPeerClosed
	//	Writable(socket Socket, ready bool) error                    // room to write, or none
	//	Draining(socket Socket, deadline time.Time) error            // a shutdown, or MaxAge
	//	Message(ctx actor.Context, socket Socket, message any) error // sent to its PID
	//	Closing(socket Socket, closing *Closing)                     // it has begun to end
	//	Closed(socket Socket, closed *Closed)                        // last: it has ended
	//
	// They are called one at a time and may block. An error ends the connection, and no other.
	Handler = tcpactor.Handler
	// HandlerFunc is a handler without a state: one function for all connections.
	HandlerFunc = tcpactor.HandlerFunc
	// AcceptedHandler is told first that the connection is there.
	AcceptedHandler = tcpactor.AcceptedHandler
	// ClosedHandler is told last why it ended.
	ClosedHandler = tcpactor.ClosedHandler
	// ClosingHandler is told at once that it has begun to end.
	ClosingHandler = tcpactor.ClosingHandler
	// PeerClosedHandler is told of the peer's FIN, with KeepOpenOnPeerClosed.
	PeerClosedHandler = tcpactor.PeerClosedHandler
	// WritableHandler is told on which side of its limits the write queue is.
	WritableHandler = tcpactor.WritableHandler
	// DrainingHandler is told of a shutdown, or of the connection's MaxAge, and closes when it
	// likes.
	DrainingHandler = tcpactor.DrainingHandler
	// TLSStartedHandler is told that the handshake of a StartTLS is done.
	TLSStartedHandler = tcpactor.TLSStartedHandler
	// MessageHandler gets other messages sent to the connection's PID.
	MessageHandler = tcpactor.MessageHandler
	// Functions is the form of three functions that thread a state of type S.
	Functions[S any] = tcpactor.Functions[S]
	// Receiver is a handler of any form as the connection sees it; see Wrap.
	Receiver = tcpactor.Receiver
	// ReceiverFunc is a Receiver that is a function.
	ReceiverFunc = tcpactor.ReceiverFunc
)

// Types that a server is given.
type (
	// Server is the handle on a running server. Any goroutine may call its methods, also after the
	// end.
	Server = listener.Listener
	// Options of a server. The zero value is useful; docs/options.md has the table.
	Options = listener.Options
	// ConnectionOptions are Options.Connection.
	ConnectionOptions = connection.Options
	// RestartHandler is ConnectionOptions.RestartHandler: how often a handler that panics is
	// replaced.
	RestartHandler = connection.RestartHandler
	// ProxyProtocol is Options.ProxyProtocol.
	ProxyProtocol = listener.ProxyProtocol
	// ShutdownError is the error of a Shutdown that did not end in time; errors.As finds it.
	ShutdownError = listener.ShutdownError
	// Group is a set of connections that are sent the same bytes.
	Group = connection.Group
	// Delivery counts the outcomes of one write to a Group.
	Delivery = connection.Delivery
	// Warning is published on the actor system's event stream, and logged by Log, when a condition
	// that an operator should know of has held for long.
	Warning = connection.Warning
	// WarningKind is what a Warning warns of; its Advice says what to do.
	WarningKind = connection.WarningKind
	// Query picks live connections for (*Server).List.
	Query = listener.Query
	// Page is the answer to a Query.
	Page = listener.Page
)

// Errors that programs branch on with errors.Is; package protocol has them all.
var (
	// ErrServerClosed is what ListenAndServe returns once the server has ended. It matches
	// net.ErrClosed.
	ErrServerClosed = listener.ErrClosed
	// ErrClosed refuses writes after the connection's end. It matches net.ErrClosed.
	ErrClosed = protocol.ErrClosed
	// ErrWriteQueueFull and ErrWriteBufferFull refuse a write for which there is no room, because
	// the peer is slow.
	ErrWriteQueueFull  = protocol.ErrWriteQueueFull
	ErrWriteBufferFull = protocol.ErrWriteBufferFull
	// ErrWriteTooLarge refuses a write that is larger than WriteBufferSize; WriteContext takes any
	// length.
	ErrWriteTooLarge = protocol.ErrWriteTooLarge
	// ErrMemoryBudget refuses a write for which MemoryBudget has no room. Writable follows it, as
	// it follows ErrWriteQueueFull and ErrWriteBufferFull.
	ErrMemoryBudget = protocol.ErrMemoryBudget
)
