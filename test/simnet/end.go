package simnet

import (
	"bytes"
	"io"
	"slices"
	"syscall"
	"time"
)

// end is one end of a link as the kernel has it. It knows TCP, but not Go's deadlines or blocking.
// The link's gate guards it.
//
// The bytes of one direction are, oldest first, in the receiver's recvq, on the sender's wire, and
// in the sender's sendq. BufferSize bounds all three together, Window the first two.
type end struct {
	link *link
	peer *end

	sendq  bytes.Buffer // accepted, not sent, as the window is full
	wire   []packet     // sent, not arrived; while the link is cut, not arriving
	onWire int          // bytes in wire
	recvq  bytes.Buffer // arrived, not read

	readShut    bool // the user will not wait for more input
	writeShut   bool // the user has written the last byte; fin follows it
	finSent     bool // the fin has left, as nothing before it is in sendq any more
	finReceived bool
	dead        bool          // a reset went out or came in; there is no more protocol here
	err         syscall.Errno // what ended the connection, until a call has told it: the kernel's sk_err
}

// arrive is the only effect of the network on an end. After the connection is over it does nothing:
// either both ends have closed in order, or the peer has sent a reset or will receive one.
func (e *end) arrive(p packet) {
	switch {
	case e.over():
	case p.kind == rst:
		e.dead = true
		e.err = syscall.ECONNRESET
		if e.finReceived && !e.writeShut {
			e.err = syscall.EPIPE // the kernel's CLOSE_WAIT: the reader sees no error
		}
	case p.kind == fin:
		e.finReceived = true
	case e.readShut && e.writeShut:
		e.abort(p.at) // this will never be read, and the peer has to know (RFC 1122, 4.2.2.13)
		e.err = syscall.ECONNRESET
	default:
		e.recvq.Write(p.payload)
	}
}

// accept takes as many bytes as there is room for and returns their number.
func (e *end) accept(p []byte, now time.Time) int {
	n := min(len(p), e.link.opts.BufferSize-e.sendq.Len()-e.unread())
	e.sendq.Write(p[:n])
	e.transmit(now)
	return n
}

// unread is how much has left this end and was not read by the peer.
func (e *end) unread() int { return e.onWire + e.peer.recvq.Len() }

// transmit sends what the window allows, and the fin after the last byte. The sendq of a dead end
// stays as it is: this is the loss of a reset. Its recvq stays as well, and stays readable, as on
// Linux.
func (e *end) transmit(now time.Time) {
	if e.dead {
		return
	}
	if n := min(e.sendq.Len(), e.link.opts.Window-e.unread()); n > 0 {
		e.send(data, slices.Clone(e.sendq.Next(n)), now)
	}
	if e.writeShut && !e.finSent && e.sendq.Len() == 0 {
		e.send(fin, nil, now)
		e.finSent = true
	}
}

func (e *end) send(k kind, payload []byte, now time.Time) {
	e.wire = append(e.wire, packet{kind: k, payload: payload, at: now.Add(e.link.opts.Latency)})
	e.onWire += len(payload)
}

// read takes up to len(p) of the bytes that have arrived; the peer may then send as many more.
func (e *end) read(p []byte, now time.Time) int {
	n, _ := e.recvq.Read(p) // its error says empty, and so does n
	e.peer.transmit(now)
	return n
}

// readErr says why there is nothing to read, or nil if there may be. An orderly end stands also if
// a reset follows it.
func (e *end) readErr() error {
	switch {
	case e.finReceived:
		return io.EOF
	case e.err != 0:
		return e.takeErr()
	case e.dead, e.readShut:
		return io.EOF
	default:
		return nil
	}
}

// writeErr says why nothing more can be written, or nil if it can.
func (e *end) writeErr() error {
	switch {
	case e.err != 0:
		return e.takeErr()
	case e.dead, e.writeShut:
		return syscall.EPIPE
	default:
		return nil
	}
}

// takeErr returns the error to one caller only, as the kernel does.
func (e *end) takeErr() error {
	err := e.err
	e.err = 0
	return err
}

// shut is the last call that reads or writes: an orderly end, unless there is a reason for a reset.
func (e *end) shut(reset bool, now time.Time) {
	unread := e.recvq.Len() > 0
	e.recvq.Reset()
	e.readShut, e.writeShut = true, true
	switch {
	case e.over():
	case reset, unread: // the peer must not take unread bytes for read ones
		e.abort(now)
	default:
		e.transmit(now)
	}
}

// over reports whether the connection has ended, in order or not.
func (e *end) over() bool { return e.dead || e.finReceived && e.peer.finReceived }

// abort sends a reset. Packets on the wire arrive before it, except across a partition: there the
// packets were lost and no end is left to send them again.
func (e *end) abort(now time.Time) {
	if e.link.cut {
		e.wire, e.onWire = nil, 0
	}
	e.dead = true
	e.send(rst, nil, now)
}
