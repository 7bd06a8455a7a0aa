package listener

import (
	"errors"
	"net"
	"syscall"
)

// AcceptClass says what kind of failure an accept met. All of them are retried; the class is for
// readers of the events.
type AcceptClass uint8

const (
	// AcceptUnknown: an error that is in no list. It is retried too: an end of the listener would
	// be worse.
	AcceptUnknown AcceptClass = iota
	// AcceptExhausted: the process, the machine or the kernel is out of something. The state
	// passes.
	AcceptExhausted
	// AcceptClientGone: the client went away, or its network did, between its SYN and the accept.
	// The next client can be accepted.
	AcceptClientGone
	// AcceptRefused: a rule of the system forbids this client.
	AcceptRefused
	// AcceptSocketLost: the listening socket was closed or shut down, and not by this listener. A
	// socket that Listen made is opened again.
	AcceptSocketLost
)

var acceptClassNames = [...]string{
	AcceptUnknown:    "unknown",
	AcceptExhausted:  "resources exhausted",
	AcceptClientGone: "client gone",
	AcceptRefused:    "refused by a rule",
	AcceptSocketLost: "listening socket lost",
}

// String returns the class in words, "unknown" for a value that is none of the constants.
func (c AcceptClass) String() string {
	if int(c) < len(acceptClassNames) {
		return acceptClassNames[c]
	}
	return acceptClassNames[AcceptUnknown]
}

// acceptErrno is one error of accept(2) and its class.
type acceptErrno struct {
	err   error
	class AcceptClass
}

// acceptErrnos are the errors that an accept can fail with, whatever the transport. EAGAIN and
// EINTR are not among them: a transport handles both itself, and from a listener of the user's they
// mean nothing in particular.
var acceptErrnos = append([]acceptErrno{
	{syscall.EMFILE, AcceptExhausted},  // no descriptor is left to the process
	{syscall.ENFILE, AcceptExhausted},  // nor to the machine
	{syscall.ENOBUFS, AcceptExhausted}, // no memory for the socket's buffers
	{syscall.ENOMEM, AcceptExhausted},  // nor for the socket

	{syscall.ECONNABORTED, AcceptClientGone}, // reset while it waited in the backlog
	{syscall.ECONNRESET, AcceptClientGone},   // as some systems say it
	{syscall.EPROTO, AcceptClientGone},       // as others do
	{syscall.ETIMEDOUT, AcceptClientGone},    // its handshake was never finished
	{syscall.ENETDOWN, AcceptClientGone},     // this and the rest: errors of the new socket's network, which Linux reports by the accept
	{syscall.ENETUNREACH, AcceptClientGone},
	{syscall.EHOSTDOWN, AcceptClientGone},
	{syscall.EHOSTUNREACH, AcceptClientGone},
	{syscall.ENOPROTOOPT, AcceptClientGone},
	{syscall.EOPNOTSUPP, AcceptClientGone},

	{syscall.EPERM, AcceptRefused},  // a firewall's rule
	{syscall.EACCES, AcceptRefused}, // a security module's

	{net.ErrClosed, AcceptSocketLost},    // closed, through the net.Listener
	{syscall.EBADF, AcceptSocketLost},    // closed, by its descriptor
	{syscall.ENOTSOCK, AcceptSocketLost}, // and the descriptor is already something else
	{syscall.EINVAL, AcceptSocketLost},   // shut down: it no longer listens
}, acceptErrnosHere...)

// classify returns the class of an accept's error.
func classify(err error) AcceptClass {
	for _, known := range acceptErrnos {
		if errors.Is(err, known.err) {
			return known.class
		}
	}
	return AcceptUnknown
}
