package history

import (
	"time"

	"github.com/go-berth/berth/protocol"
)

// Record is one event. Its fields depend on What.
type Record struct {
	At   time.Duration // since the beginning of the world
	What What
	Call Call
	Op   Op
	Mail bool // an operation by PID, not through the handle
	// Asked says that a callback or an answer tells the issuer how the operation ended.
	Asked   bool
	Token   bool // of a Write by mail: a failure is told, nothing else; of an Answer: the token came with it
	EOF     bool // of Data
	Ready   bool // of Writable
	Failed  bool // Leave: by a panic or runtime.Goexit
	Expired bool // End of a Wait: its context is done
	Conn    int  // the connection, from 1; 0 concerns all
	By      int  // the issuer, see Turn: operations of one issuer come one after the other
	From    int  // the sender of mail, from 1; 0: there is none
	ID      int  // of the operation; of the call, from its Enter to its Leave
	Of      int  // Enter of a Completion or a Message: the operation it belongs to; of an Accepted: the Become whose handler it is, 0: none
	Handler int  // Enter of a call of a handler: which one, from 1 over the world
	Need    int  // Leave of Data: how many unread bytes the handler needs, 0: no number of them
	N       int  // how many bytes, what credit, how many restarts
	Room    int  // of a refusal, of a slow consumer's EndBegun: how many bytes more the network takes for the peer, plus 1; 0: not known
	Bytes   []byte
	Err     error
	Limits  *protocol.Timeouts // Begin of SetTimeouts
	Closing *protocol.Closing  // Enter of EndBegun
	Closed  *protocol.Closed   // Enter of Closed
	Info    *protocol.Info     // End of an Info
}

// What is the kind of a record.
type What uint8

// The records, with the fields that each has besides At and Conn.
const (
	_ What = iota

	// Rest: nothing moves any more, except for clocks.
	Rest
	// ShutdownBegun: the listener is about to be ended.
	ShutdownBegun
	// Over: nothing of the listener is left.
	Over
	// Suspended and Resumed: accepting stops, and goes on.
	Suspended
	Resumed
	// Parted and Healed: bytes no longer travel, and do again. Recorded before the one and after
	// the other.
	Parted
	Healed

	// Enter is the beginning of a handler call: Call, ID, Handler; Accepted: N restarts, Of; Data:
	// Bytes, EOF;
	// Writable: Ready; Closed: Closed; Completion and Message: Of, Err, Room; EndBegun: Closing,
	// Room.
	Enter
	// Leave is its end: Call, ID, Failed, Err as returned; Data: N bytes were consumed, Need.
	// Without a Call: Proto.Actor's own Started, Stopping or Stopped failed in a handler.
	Leave

	// Begin is the beginning of an operation: Op, ID, By, Mail, Asked; Write, Wait: Bytes, N of
	// them; Write by mail: From, Token; Resume: N.
	Begin
	// End is the return of one that was called: ID, Err; Write: N, Room; Wait: N, Expired; Info:
	// Info.
	End
	// Answer is the answer to its issuer by mail, or by callback after Closed: ID, Err, Token,
	// Room; also DeadLetter.
	Answer
	// Expired: the context of an operation is done: ID.
	Expired
	// RoomTold: a sender of mail got WriteReady: From.
	RoomTold

	// Dialed: the peer is connected, accepted or not.
	Dialed
	// Sending and Sent are one write of the peer's: Bytes; then N of them, Err.
	Sending
	Sent
	// Reading and Got are one read of the peer's: at most N; then Bytes, Err. io.EOF is the
	// server's FIN.
	Reading
	Got
	// Finishing, Closing and Resetting: the peer is about to send FIN, to close, to reset.
	Finishing
	Closing
	Resetting
)

// Call is a kind of handler call.
type Call uint8

// The calls. Completion is a callback of an operation, EndBegun is Closing: that word is the
// peer's.
const (
	NoCall Call = iota
	Accepted
	Data
	PeerClosed
	Writable
	Draining
	Message
	Completion
	EndBegun
	Closed
	TLSStarted
)

// Op is a kind of operation on a connection.
type Op uint8

// The operations. Send is a message for the handler.
const (
	NoOp Op = iota
	Write
	File // a Write of a file: N bytes, of which Bytes are those that it has; nil: that is not known
	Wait // a WriteContext
	Pause
	Resume
	Close
	CloseWrite
	Abort
	Stop
	Poison
	Info
	Send
	Detach
	SetTimeouts
	Become
	Other // a command that is none of these
)

// DeadLetter is the Err of an Answer that is a dead letter.
var DeadLetter error = deadLetter{}

type deadLetter struct{}

func (deadLetter) Error() string { return "dead letter" }

// Turn is the issuer of the operations inside the handler calls of a connection. Other issuers
// count from 1.
func Turn(conn int) int { return -conn }
