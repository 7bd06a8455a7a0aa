// Package transport defines the interface between a connection and its socket, and implements it
// for any net.Conn (Stream) and, if the platform has it, for a descriptor in a poll set (Poll),
// also with TLS over it (PollTLS).
package transport

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
)

// Conn is one connected socket. It never blocks its connection actor: Events announces input and
// room that come later.
//
// Handshake, Ready, Growth, Fill, Hold, EndSeen, Unread are called on the connection actor's turn,
// Writev, SendFile, CloseWrite and CloseNotify on the writer actor's, not before the handshake is
// over; the two may run at the same time. Everything else may be called from any goroutine.
type Conn interface {
	// Open begins the conversation; events are announced from now on. It is called once, before
	// everything else but Abort. opened is false if a handshake comes first, which Handshake does.
	Open(events Events) (opened bool)
	// Handshake continues the handshake as far as possible without waiting. After ErrAgain it is
	// called again once Events.Readable was. After nil the handshake is over, and in holds the
	// bytes that were read behind it, at most room of them. It is not called again after nil or an
	// error.
	Handshake(in *Input, room int) error

	// Ready reports whether input, or the end of input, can be had now, at most room bytes of it.
	// If not, Events.Readable is called once it can.
	Ready(room int) bool
	// Growth returns by how many bytes a Fill with the same arguments makes the memory of in grow,
	// at most; it may be negative. It is called where Ready returned true.
	Growth(in *Input, room int) int
	// Fill appends to in what can be had without waiting. It returns ErrAgain if that is nothing
	// (Events.Readable follows), io.EOF after the peer's FIN, and every other error once the socket
	// is broken; what came before an error is returned first.
	Fill(in *Input, room int) (n int, err error)

	// Hold says that nothing is fetched for now. Until the next Ready, a transport that can learn
	// of the end of the input only by reading reads on, as long as it holds less than room bytes.
	// watched says that Events.Readable is called once the end is there.
	Hold(room int) (watched bool)
	// EndSeen returns what is known of the end of the input: the peer's FIN has come, or with which
	// error the connection has broken. The bytes before it can still be fetched. A kernel tells an
	// error once. look says that LookForEnd has found it.
	EndSeen(look bool) (finished bool, err error)
	// LookForEnd asks for the end where Hold returned false. It does not wait, and any goroutine
	// may call it. Where the socket is none of the system's it finds nothing.
	LookForEnd() (finished, broken bool)
	// Broken reports whether a write under way is sure to fail at once, because the peer has reset
	// the connection. False where the socket does not tell, as a unix socket.
	Broken() bool
	// TLS returns the state after the handshake, nil where there is no TLS.
	TLS() *tls.ConnectionState
	// Control calls f, which must not block, with the descriptor of the socket. False: there is
	// none, or the connection has ended. Any goroutine may call it.
	Control(f func(fd uintptr)) bool
	// Unread returns how many bytes have come and were not fetched, as far as known.
	Unread() int

	// Writev writes bufs in order and returns how many bytes the kernel took. ErrAgain means that
	// not all were taken, and that Events.Writable is called when more can be written. It may keep
	// nothing of bufs. It may block if Blocks returns true; Abort frees it.
	Writev(bufs [][]byte) (n int, err error)
	// Blocks reports whether Writev and SendFile may block their goroutine. It never changes.
	Blocks() bool
	// SendFile writes up to n bytes of f from offset, at least one, as Writev does. f's position
	// stays as it is. ErrNotSent means that the kernel does not send this file, or this transport
	// sends none; then its bytes can be read, and written by Writev. A *FileError is the file's;
	// the connection is as it was before.
	SendFile(f *os.File, offset, n int64) (written int64, err error)

	// CloseWrite sends FIN. It returns ErrNoHalfClose if that is not possible. With TLS,
	// close_notify comes before; it may block as Writev does, or return ErrAgain, after which
	// CloseWrite is called again once Events.Writable was.
	CloseWrite() error
	// CloseNotify sends TLS's close_notify, which is due before the FIN that Close sends, unless
	// CloseWrite has sent it. It may block or return ErrAgain as CloseWrite does.
	CloseNotify() error
	// Close releases the socket after an orderly end.
	Close() error
	// Abort resets the connection. It frees a blocked Writev at once. The socket is released no
	// later than at Close.
	Abort()

	// Progress counts the bytes that the kernel gave and took inside calls that have not returned
	// yet, and that are therefore in no other counter: the bytes below TLS. The counts never fall;
	// only their changes have a meaning. They are 0 where every byte is returned as soon as it
	// moves.
	Progress() (read, written uint64)
	// Retry makes a Writev that waits for room try once more, without an announcement of room. A
	// kernel may have a little room long before it announces it: Linux waits until a third of the
	// send buffer is free. last says that the connection is ended otherwise, so that the try may
	// cost it: some kinds of net.Conn write no more after they were interrupted. Retry does not
	// wait.
	Retry(last bool)

	LocalAddr() net.Addr
	RemoteAddr() net.Addr
}

// Events is what a Conn announces. Any goroutine calls it; the calls do not wait.
type Events interface {
	// Readable says that Ready would now return true, or that the handshake can go on. lent says
	// that the calling goroutine is the transport's own, has nothing else to do and may be blocked,
	// so it can do the connection's work itself.
	Readable(lent bool)
	// Writable says that a Writev that returned ErrAgain may go on.
	Writable()
	// Full says that the Writev or SendFile that is under way blocks: the kernel takes no more of
	// this connection's bytes for now. It is called only during such a call, before the call
	// returns, from any goroutine. A transport with a Writev that does not block returns ErrAgain
	// instead.
	Full()
}

var (
	// ErrAgain says that nothing can be read, or no more written, without waiting.
	ErrAgain = errors.New("transport: again")
	// ErrNotSent says that a file can be sent only as a copy of its bytes.
	ErrNotSent = errors.New("transport: file not sent by the kernel")
	// ErrRefused ends the handshake of a client that was refused because of its address.
	ErrRefused = errors.New("berth: client refused")
	// ErrNoHalfClose says that this kind of connection can only be closed as a whole.
	ErrNoHalfClose = errors.New("transport: no half-close")
)

// FileError is an error of the file that was to be sent: io.ErrUnexpectedEOF where it is shorter
// than it was said to be.
type FileError struct{ Err error }

// Error implements error.
func (e *FileError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *FileError) Unwrap() error { return e.Err }

// Unsure is an optional part of a Conn that does not report all that it may have sent: Unsure
// returns how many bytes, behind those that Writev has reported, the peer may have got. It is for
// the writer's turn, and for the time after it has ended.
type Unsure interface{ Unsure() int }
