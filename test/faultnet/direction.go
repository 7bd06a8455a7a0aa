package faultnet

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"time"
)

// direction moves bytes from one end to the other. One goroutine runs it.
type direction struct {
	relay    *relay
	from, to net.Conn
	stages   []stage

	queue  []piece // under way, in the order of time
	queued int     // their bytes
	ended  bool    // the end of from is among them
}

// window is how many bytes of one direction may be under way. Beyond it nothing is read, so the
// writer is held back.
const window = 64 << 10

// begin prepares the stages.
func (d *direction) begin(toxics []Toxic, b beginning) {
	b.at = time.Now()
	for _, t := range toxics {
		d.stages = append(d.stages, t.stage(b))
	}
	for i, s := range d.stages {
		if s, ok := s.(spontaneous); ok {
			d.enter(through(d.stages[i+1:], s.first()))
		}
	}
}

// run moves bytes until the direction has come to its end, or the connection.
func (d *direction) run() {
	buffer := make([]byte, 4<<10)
	for d.deliver() {
		if d.ended || d.queued >= window {
			d.wait()
		} else {
			d.read(buffer)
		}
	}
}

// deliver writes the pieces that are due. In a healed network every piece is due, whatever time the
// stages set. It returns false at the end.
func (d *direction) deliver() bool {
	for len(d.queue) > 0 {
		p, healed := d.queue[0], isClosed(d.relay.healed)
		if !healed && p.at.After(time.Now()) {
			break
		}
		d.queue = d.queue[1:]
		d.queued -= len(p.data)
		if p.toxic && healed {
			continue
		}
		if p.end != none {
			d.finish(p.end)
			return false
		}
		if _, err := d.to.Write(p.data); err != nil {
			d.relay.kill(reset)
			return false
		}
	}
	return !isClosed(d.relay.dead)
}

func (d *direction) finish(end ending) {
	if end == fin && call(d.to, func(to interface{ CloseWrite() error }) error { return to.CloseWrite() }) == nil {
		d.relay.ended()
		return
	}
	d.relay.kill(end)
}

// wait waits until something is due.
func (d *direction) wait() {
	var due <-chan time.Time
	if at := d.next(); !at.IsZero() {
		timer := time.NewTimer(time.Until(at))
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-due:
	case <-d.relay.healed:
	case <-d.relay.dead:
	}
}

// next returns when something is due, zero for never.
func (d *direction) next() time.Time {
	if len(d.queue) == 0 || !d.queue[0].at.Before(never) {
		return time.Time{}
	}
	return d.queue[0].at
}

// read reads once, until something is due at the latest.
func (d *direction) read(buffer []byte) {
	if !d.readUntilDue() {
		return
	}
	n, err := d.from.Read(buffer[:min(len(buffer), window-d.queued)])
	now := time.Now()
	if n > 0 {
		d.enter(through(d.stages, piece{at: now, data: slices.Clone(buffer[:n])}))
	}
	switch {
	case err == nil, errors.Is(err, os.ErrDeadlineExceeded):
	case errors.Is(err, io.EOF):
		d.ended = true
		d.enter(through(d.stages, piece{at: now, end: fin}))
	default:
		d.ended = true
		d.enter(through(d.stages, piece{at: now, end: reset}))
	}
}

// readUntilDue sets the deadline of the next read. It returns false if it is past.
func (d *direction) readUntilDue() bool {
	d.relay.mu.Lock()
	defer d.relay.mu.Unlock()
	if isClosed(d.relay.healed) && len(d.queue) > 0 {
		return false
	}
	_ = d.from.SetReadDeadline(d.next())
	return true
}

// through passes a piece through stages.
func through(stages []stage, p piece) []piece {
	pieces := []piece{p}
	for _, s := range stages {
		var out []piece
		for _, p := range pieces {
			out = append(out, s.pass(p)...)
		}
		pieces = out
	}
	return pieces
}

// enter puts pieces into the queue. They are in order, but for a toxic's own, which comes at its
// own time.
func (d *direction) enter(pieces []piece) {
	for _, p := range pieces {
		d.queued += len(p.data)
	}
	d.queue = append(d.queue, pieces...)
	slices.SortStableFunc(d.queue, func(a, b piece) int { return a.at.Compare(b.at) })
}
