package reconnect

import (
	"errors"
	"fmt"
	"slices"
)

// ErrOutboxFull refuses a write because MaxWrites writes, or MaxBytes bytes, have no outcome yet.
// The error says which. An outcome makes room.
var ErrOutboxFull = errors.New("reconnect: outbox full")

// entry is a write without an outcome.
type entry struct {
	Write
	start uint64 // where its first byte stands among all that the connection was given by this client
	maybe bool   // a connection before this one may have sent it
}

// verdict is a write with its outcome, which its writer is to be told.
type verdict struct {
	done    func(Outcome, error)
	outcome Outcome
	err     error
}

// outbox holds the writes without an outcome: those that wait, and those that the connection has
// been given. It knows neither connections nor goroutines; its owner locks it. Its rules:
//
//   - Order is that of the writes. What a connection did not send goes back in front.
//   - A connection sends in order, and says at its end how many bytes it has sent in all. A write
//     of the client's that begins at or behind that count was never sent. The handler's own writes
//     only make the places of the client's later than this account has them, so the rule holds
//     with them too; a write that was not sent may then count as maybe sent.
type outbox struct {
	maxWrites, maxBytes int

	writes, bytes int      // of waiting and given
	waiting       queue    // not given to the connection
	given         []*entry // given to it and not known to be written
	offset        uint64   // how many bytes it was given in all

	written, neverSent, maybeSent uint64 // writes by outcome
	resent                        uint64 // idempotent writes that were put back though they may have been sent
}

// add accepts a write, or says why there is no room.
func (o *outbox) add(w Write) error {
	switch n := len(w.Data); {
	case n > o.maxBytes:
		return fmt.Errorf("reconnect: a write of %d bytes is larger than the outbox, MaxBytes is %d", n, o.maxBytes)
	case o.writes >= o.maxWrites:
		return fmt.Errorf("%w: %d writes have no outcome", ErrOutboxFull, o.writes)
	case o.bytes+n > o.maxBytes:
		return fmt.Errorf("%w: %d bytes have no outcome, and %d more exceed %d", ErrOutboxFull, o.bytes, n, o.maxBytes)
	}
	o.writes++
	o.bytes += len(w.Data)
	o.waiting.push(&entry{Write: w})
	return nil
}

// give moves the oldest write that waits to the connection, and returns it; nil: none waits.
func (o *outbox) give() *entry {
	if o.waiting.len() == 0 {
		return nil
	}
	e := o.waiting.pop()
	e.start = o.offset
	o.offset += uint64(len(e.Data))
	o.given = append(o.given, e)
	return e
}

// refused undoes the last give: the connection has not accepted the write.
func (o *outbox) refused(e *entry) {
	o.given = o.given[:len(o.given)-1]
	o.offset = e.start
	o.waiting.pushFront(e)
}

// dropFirst takes the first write that waits out: no connection can send it.
func (o *outbox) dropFirst(err error) verdict {
	return o.settle(o.waiting.pop(), NeverSent, err)
}

// sent says that the connection has written all of e. Writes are written in order.
func (o *outbox) sent(e *entry) {
	o.forget(e)
	o.settle(e, Written, nil)
}

// dropped says that the connection has not sent e and never will, and goes on.
func (o *outbox) dropped(e *entry, err error) verdict {
	for _, later := range o.given[o.forget(e):] {
		later.start -= uint64(len(e.Data))
	}
	o.offset -= uint64(len(e.Data))
	return o.settle(e, NeverSent, err)
}

// forget takes e, which is mostly the first, out of given, and returns where it was.
func (o *outbox) forget(e *entry) int {
	for i, one := range o.given {
		if one != e {
			continue
		}
		if i == 0 {
			o.given[0] = nil
			o.given = o.given[1:]
		} else {
			o.given = append(o.given[:i], o.given[i+1:]...)
		}
		return i
	}
	panic("reconnect: a write ended twice")
}

// ended says that the connection has ended, after it had sent so many bytes. It returns the
// outcomes of the writes that it may have sent, and how many those are; the others wait again, and
// so do idempotent ones.
func (o *outbox) ended(bytes uint64, err error) (verdicts []verdict, maybe int) {
	var again []*entry
	for _, e := range o.given {
		if e.start < bytes {
			maybe++
			if !e.Idempotent {
				verdicts = append(verdicts, o.settle(e, MaybeSent, err))
				continue
			}
			e.maybe = true
			o.resent++
		}
		again = append(again, e)
	}
	o.given, o.offset = nil, 0
	for _, e := range slices.Backward(again) {
		o.waiting.pushFront(e)
	}
	return verdicts, maybe
}

// close returns the outcomes of all writes that wait: there will be no connection.
func (o *outbox) close(err error) (verdicts []verdict) {
	for o.waiting.len() > 0 {
		verdicts = append(verdicts, o.settle(o.waiting.pop(), NeverSent, err))
	}
	return verdicts
}

// settle gives a write its outcome, this connection's; an earlier one may have sent it.
func (o *outbox) settle(e *entry, outcome Outcome, err error) verdict {
	o.writes--
	o.bytes -= len(e.Data)
	if outcome == NeverSent && e.maybe {
		outcome = MaybeSent
	}
	switch outcome {
	case Written:
		o.written++
	case NeverSent:
		o.neverSent++
	case MaybeSent:
		o.maybeSent++
	}
	return verdict{e.Done, outcome, err}
}

// queue is a line of entries with two open ends.
type queue struct {
	entries []*entry
	head    int // of the oldest
}

func (q *queue) len() int { return len(q.entries) - q.head }

func (q *queue) push(e *entry) {
	if q.head > 0 && len(q.entries) == cap(q.entries) { // before it grows, what was popped makes room
		n := copy(q.entries, q.entries[q.head:])
		clear(q.entries[n:])
		q.entries, q.head = q.entries[:n], 0
	}
	q.entries = append(q.entries, e)
}

// pop returns the oldest; there must be one.
func (q *queue) pop() *entry {
	e := q.entries[q.head]
	q.entries[q.head] = nil
	if q.head++; q.head == len(q.entries) {
		q.entries, q.head = q.entries[:0], 0
	}
	return e
}

func (q *queue) pushFront(e *entry) {
	if q.head == 0 {
		const room = 16
		longer := make([]*entry, room+len(q.entries), 2*room+2*len(q.entries))
		copy(longer[room:], q.entries)
		q.entries, q.head = longer, room
	}
	q.head--
	q.entries[q.head] = e
}
