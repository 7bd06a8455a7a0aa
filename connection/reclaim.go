package connection

import (
	"cmp"
	"slices"
	"time"

	"github.com/go-berth/berth/protocol"
)

// ReclaimInterval is how often the sweep runs while a connection waits for the budget.
const ReclaimInterval = 10 * time.Millisecond

// reclaimGrace is how long the memory of a connection that was ended may take to come back before
// the next connection is ended: the handler may be busy.
const reclaimGrace = time.Second

// reclaim holds what the function reclaim remembers of a connection.
type reclaim struct {
	waitsSince time.Duration // when it was first seen waiting; 0: it does not wait
	held       int64
	traffic    uint64
	turned     int64         // bytes moved, or given back, since movedAt
	movedAt    time.Duration // when that last came to what it held
	endedAt    time.Duration // when it was ended to make room; 0: it was not
}

// lookAtShare compares what a connection holds and has moved with the last look.
func (c *Connection) lookAtShare(now time.Duration) {
	s := c.share()
	r := &s.reclaim
	held, traffic := s.held.Load(), c.read.Load()+c.written.Load()
	r.turned += int64(traffic-r.traffic) + max(0, r.held-held)
	r.held, r.traffic = held, traffic
	if r.turned >= held {
		r.turned, r.movedAt = 0, now
	}
	switch {
	case !s.waiting.Load():
		r.waitsSince = 0
	case r.waitsSince == 0:
		r.waitsSince = now
	}
}

// reclaim computes the share, resumes the connections for which there is room, and ends a
// connection that is in the way. It may reorder live.
//
// At the low water every connection whose next read fits is read again, those that hold least
// first. Above the low water only connections that hold less than a share are.
//
// A connection is in the way if others wait or are refused, it holds more than a share, and it has
// not moved or given back as many bytes as it holds within Timeout. The one that holds most is
// ended first, and one at a time. All shares together are the low water. So either there is room
// for connections that hold nothing, or a connection holds more than a share and moves on or is
// ended. What a long frame needs may not fit although the low water is not reached: then the
// connection that waits longest for it is ended after Timeout. Therefore no connection waits for
// ever.
//
// reclaim is O(live), and does that work only while the budget is pressed.
func (b *Budget) reclaim(live []*Connection, now time.Duration) {
	defer b.tellRoom(live)
	if !b.pressed.Load() {
		if b.Waiting() == 0 && b.Held() < b.limits.HighWater {
			return
		}
		b.pressedAt = now
		b.pressed.Store(true)
		b.changed(true, b.Held())
	}
	for _, c := range live {
		c.lookAtShare(now)
	}
	fair := b.shareOut(live)
	b.resume(live)
	if refused := b.Refused(); b.Waiting() > 0 || refused != b.refusedBefore {
		b.refusedBefore = refused
		b.makeRoom(live, fair, now)
	}
	if b.Waiting() == 0 && b.Held() <= b.limits.LowWater {
		b.share.Store(smallShare)
		b.pressed.Store(false)
		b.changed(false, b.Held())
	}
}

// shareOut divides the low water by the number of connections that hold or want memory.
func (b *Budget) shareOut(live []*Connection) (fair int64) {
	claims := int64(0)
	for _, c := range live {
		if r := &c.share().reclaim; r.held > 0 || r.waitsSince > 0 {
			claims++
		}
	}
	fair = b.limits.LowWater / max(claims, 1)
	b.share.Store(max(fair, smallShare))
	return fair
}

// resume wakes the waiting connections for which there is room now.
func (b *Budget) resume(live []*Connection) {
	b.line = b.line[:0]
	for _, c := range live {
		if c.share().reclaim.waitsSince > 0 {
			b.line = append(b.line, c)
		}
	}
	slices.SortFunc(b.line, func(one, other *Connection) int {
		a, z := &one.share().reclaim, &other.share().reclaim
		return cmp.Or(cmp.Compare(a.held, z.held), cmp.Compare(a.waitsSince, z.waitsSince))
	})
	held := b.Held()
	calm := held <= b.limits.LowWater
	for _, c := range b.line {
		s := c.share()
		own, need := s.reclaim.held, s.need.Load()
		if (calm || own < b.share.Load()) && held+need <= b.ceiling(own, reading) && b.goOn(s) {
			held += need
			c.mailbox.Schedule()
		}
	}
	clear(b.line)
}

// tellRoom tells connections that a write they were refused would fit now. A connection that has
// ended meanwhile is no longer counted as wanting room.
func (b *Budget) tellRoom(live []*Connection) {
	if b.wanting.Load() == 0 {
		return
	}
	for _, c := range live {
		s := c.share()
		if c.state() == closed {
			b.wanted(s)
			continue
		}
		wants := s.wants.Load()
		if wants > 0 && b.Held()+wants-1 <= b.ceiling(s.held.Load(), writing) && b.wanted(s) {
			c.signal(signalRefused)
			c.roomMade()
		}
	}
}

// makeRoom ends the connection in the way that holds most, unless the memory of one ended before is
// still to come back.
func (b *Budget) makeRoom(live []*Connection, fair int64, now time.Duration) {
	if b.limits.Timeout < 0 {
		return
	}
	var greediest, stuck *Connection
	most := fair
	calm := b.Held() <= b.limits.LowWater
	for _, c := range live {
		switch r := &c.share().reclaim; {
		case r.held == 0:
		case r.endedAt > 0:
			if now-r.endedAt < reclaimGrace {
				return
			}
		case r.held > most && now-max(r.movedAt, b.pressedAt) >= b.limits.Timeout:
			greediest, most = c, r.held
		case calm && r.waitsSince > 0 && now-r.waitsSince >= b.limits.Timeout && (stuck == nil || r.waitsSince < stuck.share().reclaim.waitsSince):
			stuck = c
		}
	}
	if greediest == nil {
		greediest = stuck
	}
	if greediest != nil {
		greediest.share().reclaim.endedAt = now
		greediest.kill(protocol.ReasonMemoryBudget, protocol.ErrMemoryBudget)
	}
}
