package simnet

import "time"

// link is the connection between two ends. It is a simulation of discrete events without a driver:
// each packet carries the time of its arrival, and every method of a connection first handles the
// events that are due.
//
// The gate guards the link and both ends. One for all three, because a reset, a partition, or a
// read that opens the window changes both ends at once.
type link struct {
	gate
	opts     Options
	ends     [2]*end     // each other's peers
	cut      bool        // partitioned: nothing arrives
	users    int         // ends that were not closed
	released func(*link) // if not nil: told, with the gate open, when users comes to 0
}

// kind is the effect of a packet at its arrival.
type kind int

const (
	data kind = iota
	fin
	rst
)

// packet is on its way from one end to the other. Those of one direction arrive in the order they
// were sent.
type packet struct {
	kind    kind
	payload []byte // of data only; owned by the packet
	at      time.Time
}

func newLink(opts Options) *link {
	l := &link{opts: opts, users: 2}
	l.ends = [2]*end{{link: l}, {link: l}}
	l.ends[0].peer, l.ends[1].peer = l.ends[1], l.ends[0]
	return l
}

// advance lets every packet arrive that is due, in the order of time. An arrival can send another
// packet, which is due within the same call when the link has no latency.
func (l *link) advance(now time.Time) {
	for {
		from := l.first()
		if from == nil || from.wire[0].at.After(now) {
			return
		}
		p := from.wire[0]
		from.wire = from.wire[1:]
		from.onWire -= len(p.payload)
		from.peer.arrive(p)
	}
}

// first returns the end at which the next packet arrives, or nil if none will.
func (l *link) first() *end {
	if l.cut {
		return nil
	}
	var first *end
	for _, e := range l.ends {
		if len(e.wire) > 0 && (first == nil || e.wire[0].at.Before(first.wire[0].at)) {
			first = e
		}
	}
	return first
}

// settle handles the events that are due and wakes all waiters to look at the result. Every change
// of an end is followed by a call of it.
func (l *link) settle() {
	l.advance(time.Now())
	l.broadcast()
}

// await blocks until the link may have changed or the deadline has passed. A waiter wakes at every
// arrival, also at one at the other end: that one may send the reset this waiter has to see.
func (l *link) await(deadline time.Time) {
	if from := l.first(); from != nil {
		deadline = earlier(deadline, from.wire[0].at)
	}
	l.wait(deadline, nil)
}

// partition keeps all packets where they are from now on. Packets that were due before are not
// affected.
func (l *link) partition() {
	l.Lock()
	defer l.Unlock()
	l.settle()
	l.cut = true
}

// heal sends anew everything that was kept: a packet that was under way when the link was cut
// counts as lost and is sent again, so it takes the whole latency once more.
func (l *link) heal() {
	l.Lock()
	defer l.Unlock()
	if !l.cut {
		return
	}
	l.cut = false
	now := time.Now()
	for _, e := range l.ends {
		for i := range e.wire {
			e.wire[i].at = now.Add(l.opts.Latency)
		}
	}
	l.settle()
}
