package session

import (
	"math"
	"slices"
)

// Message is one message of a session. The numbers of each side begin at 1 and have no gaps.
type Message struct {
	Number uint64
	Data   []byte // not to be changed
}

// Range is the numbers From to To, both included. The zero value is empty.
type Range struct{ From, To uint64 }

// Len returns how many numbers there are.
func (r Range) Len() uint64 {
	if r.From == 0 || r.To < r.From {
		return 0
	}
	return r.To - r.From + 1
}

// Overflow says what happens to a message for which the log has no room.
type Overflow uint8

const (
	// Refuse refuses the message: ErrLogFull. Nothing is lost.
	Refuse Overflow = iota
	// Forget forgets the oldest messages. A resume from before them says that they are lost.
	Forget
)

// Limits of what one side keeps for the other. 0 is the default.
type Limits struct {
	Messages int // Default 256.
	Bytes    int // Of all messages together. Default 64 KiB.
	Overflow Overflow
}

func (l Limits) withDefaults() Limits {
	if l.Messages <= 0 {
		l.Messages = 256
	}
	if l.Bytes <= 0 {
		l.Bytes = 64 << 10
	}
	return l
}

// Log is one side of a conversation: what it has sent and the other side has not acknowledged, and
// how far it has handled what the other side sent. It is plain data, so that a Store can keep it.
type Log struct {
	Sent     uint64    // the last number used
	Kept     []Message // the last ones sent, without gaps up to Sent
	Bytes    int       // of them
	Acked    uint64    // the last number that the other side has acknowledged
	Handled  uint64    // the last number of the other side's that was delivered
	Capacity Limits
}

// base is the last number that is not kept any more.
func (l *Log) base() uint64 { return l.Sent - uint64(len(l.Kept)) }

// send numbers a message and keeps it.
func (l *Log) send(data []byte) (Message, error) {
	limits := l.Capacity.withDefaults()
	switch {
	case len(data) > limits.Bytes:
		return Message{}, ErrTooLarge
	case l.Sent == math.MaxUint64:
		return Message{}, ErrLogFull
	}
	for len(l.Kept) >= limits.Messages || l.Bytes > limits.Bytes-len(data) {
		if limits.Overflow == Refuse {
			return Message{}, ErrLogFull
		}
		l.drop(1)
	}
	l.Sent++
	message := Message{Number: l.Sent, Data: data}
	l.Kept = append(l.Kept, message)
	l.Bytes += len(data)
	return message, nil
}

// drop forgets the n oldest messages.
func (l *Log) drop(n int) {
	for i := range l.Kept[:n] {
		l.Bytes -= len(l.Kept[i].Data)
	}
	l.Kept = slices.Delete(l.Kept, 0, n) // it clears the tail, so that the data can be collected
	if len(l.Kept) == 0 {
		l.Kept = nil
	}
}

// acknowledge forgets what the other side has handled. A number from before changes nothing.
func (l *Log) acknowledge(number uint64) error {
	if number > l.Sent {
		return ErrFuture
	}
	l.Acked = max(l.Acked, number)
	if base := l.base(); number > base {
		l.drop(int(number - base))
	}
	return nil
}

// receive takes the number of a message. It returns false for a message that was delivered before.
func (l *Log) receive(number uint64) (fresh bool, err error) {
	switch {
	case number == 0:
		return false, ErrGap // no message has this number
	case number <= l.Handled:
		return false, nil
	case number != l.Handled+1:
		return false, ErrGap
	}
	l.Handled = number
	return true, nil
}

// resume goes on after the other side has handled what it says. It returns what to send again, and
// what can no longer be sent.
func (l *Log) resume(handled uint64) (again []Message, lost Range, err error) {
	if err := l.acknowledge(handled); err != nil {
		return nil, Range{}, err
	}
	if base := l.base(); handled < base {
		lost = Range{handled + 1, base}
	}
	return slices.Clone(l.Kept), lost, nil
}

// skip takes note that the other side's messages up to number are lost.
func (l *Log) skip(number uint64) Range {
	if number <= l.Handled {
		return Range{}
	}
	lost := Range{l.Handled + 1, number}
	l.Handled = number
	return lost
}

// back goes back to earlier numbers, also where there is nothing to take back. It leaves the
// messages alone that a copy of the log may share.
func (l *Log) back(sent, handled uint64) {
	l.Handled = min(l.Handled, handled)
	if l.Sent <= sent {
		return
	}
	keep := len(l.Kept) - int(min(l.Sent-sent, uint64(len(l.Kept))))
	for i := range l.Kept[keep:] {
		l.Bytes -= len(l.Kept[keep+i].Data)
	}
	l.Sent, l.Kept = sent, slices.Clone(l.Kept[:keep])
	if keep == 0 {
		l.Kept = nil
	}
}
