package connection

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"
)

// A write that finds no room in the queue first makes the queued writes go out. It is refused only
// while the kernel takes no more of this connection's bytes. A refusal is kept in the credit's
// word, so that the release that makes room cannot miss it: the handler then gets Writable, and a
// sender by PID gets WriteReady.

// room holds what a connection remembers of refused writes, and of callers that wait for room.
type room struct {
	waiters atomic.Int32  // callers that wait, or are about to
	fits    atomic.Int64  // the largest refused write plus 1; 0: none was refused since the handler was told of room
	writing chan struct{} // has room for one: the WriteContext under way; see WriteContext

	made notice // room was made, or can no longer be made
	news notice // the writer has written something, or cannot go on for now

	refused senders // of refused writes, to be told of room; the connection's turn only
}

// notice is something that callers wait for. The zero value is ready; any goroutine may use it.
type notice struct {
	mu   sync.Mutex
	next chan struct{} // closed when it comes next; nil: no caller waits
}

// wait returns a channel that is closed when the notice comes next.
func (n *notice) wait() <-chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next == nil {
		n.next = make(chan struct{})
	}
	return n.next
}

func (n *notice) give() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.next != nil {
		close(n.next)
		n.next = nil
	}
}

// awaitsRoom reports whether a caller waits for room. Any goroutine may call it.
func (c *Connection) awaitsRoom() bool {
	r := c.rare.Load()
	return r != nil && r.room.waiters.Load() > 0
}

// roomMade is called after credit was released, and after the last write was accepted. Any
// goroutine may call it, as writerNews.
func (c *Connection) roomMade() {
	if r := c.rare.Load(); r != nil && r.room.waiters.Load() > 0 {
		r.room.made.give()
	}
}

// writerNews is called after each write, and after the writer found that it cannot go on for now.
// It is not news for a caller that waits for room whatever happens: that caller has the writer look
// itself, and would wake itself for ever.
func (c *Connection) writerNews() {
	if r := c.rare.Load(); r != nil && r.room.waiters.Load() > 0 {
		r.room.news.give()
	}
}

// refuseWrites refuses every write from now on. Any goroutine may call it.
func (c *Connection) refuseWrites() {
	c.credit.close()
	c.roomMade()
}

func lacksRoom(err error) bool {
	return errors.Is(err, protocol.ErrWriteQueueFull) || errors.Is(err, protocol.ErrWriteBufferFull)
}

// acquire takes credit, and memory from the budget, for a write of n bytes. If there is no room, it
// first makes queued writes go out. If that makes no room, slow decides whether the refusal is
// reported. Any goroutine may call it.
func (c *Connection) acquire(slow SlowPolicy, n, memory int) (crossed bool, err error) {
	crossed, err = c.reserve(n, memory)
	if err != nil && lacksRoom(err) {
		return c.acquireRoom(slow, n, memory)
	}
	return crossed, err
}

// writerPatience bounds how long a write waits for a writer that is at work on another goroutine,
// if nothing says meanwhile that the kernel takes no more. The wait is that long only if the
// process gets no processor time.
const writerPatience = time.Second

func (c *Connection) acquireRoom(slow SlowPolicy, n, memory int) (crossed bool, err error) {
	r := &c.makeRare().room
	r.waiters.Add(1)
	defer r.waiters.Add(-1)
	patience := time.NewTimer(writerPatience)
	defer patience.Stop()
	over := false
	for {
		made, news := r.made.wait(), r.news.wait() // before the question: what comes after it must not be missed
		crossed, err = c.reserve(n, memory)
		if err == nil || !lacksRoom(err) {
			return crossed, err
		}
		outcome := c.bringOut()
		if (outcome == kernelFull || over) && c.refuses(slow, n) {
			return false, err
		}
		switch outcome {
		case underWay:
			wait := seam.Wait()
			select {
			case <-made:
			case <-news:
			case <-patience.C:
				over = true
			}
			wait.Over()
		case fileAwaited:
			c.awaitFile(made, news)
		}
	}
}

// broughtOut is the result of bringing out queued writes.
type broughtOut uint8

const (
	someOut     broughtOut = iota // the kernel took something, or is about to: ask again
	underWay                      // the writer is at work on another goroutine, and announces its result
	fileAwaited                   // the file that is first in the queue gives nothing at the moment
	kernelFull                    // the kernel takes no more for now, or the file has given nothing for long
)

// bringOut makes queued writes go out, on this goroutine if that does not block it.
func (c *Connection) bringOut() broughtOut {
	w := &c.writer
	if c.state() == opening {
		return kernelFull // nothing is written during the handshake
	}
	if !c.conn().Blocks() {
		before := c.credit.word.Load()
		w.orders.Or(orderWritable) // there may be room of which the poller has not told yet
		if !w.mailbox.RunNow() {
			return underWay
		}
		if c.credit.word.Load() == before && !w.stuck() {
			yield() // entries are reserved and not posted yet: their callers are about to
		}
	} else if !w.stuck() {
		return underWay
	}
	switch {
	case !w.stuck():
		return someOut
	case w.ordered(starved) && c.fileSilence() < silence:
		return fileAwaited
	}
	return kernelFull
}

// refuses decides that a write of n bytes does not fit, and remembers it. It returns false if there
// is room by now, or no write is accepted any more.
func (c *Connection) refuses(slow SlowPolicy, n int) bool {
	if slow != SlowRefuse && !c.writer.ordered(starved|barred) {
		return lacksRoom(c.shared.limits.allow(c.credit.word.Load(), n))
	}
	r := &c.makeRare().room
	for size := int64(n) + 1; ; {
		if before := r.fits.Load(); before >= size || r.fits.CompareAndSwap(before, size) {
			break
		}
	}
	if !c.credit.refuse(n, &c.shared.limits) {
		return false
	}
	c.signalOnce(signalRefused)
	return true
}

// fits returns what must fit into the queue before the handler is told of room: the largest refused
// write plus 1, 0 where none was.
func (c *Connection) fits() int {
	if r := c.rare.Load(); r != nil {
		return int(r.room.fits.Load())
	}
	return 0
}

// tellRoom tells the handler on which side of the water marks the queue is, if that has changed
// since the last time. After a refusal it is told of both sides, also where the queue has sunk
// again meanwhile.
func (c *Connection) tellRoom(ctx actor.Context, refused bool) {
	if c.state() != open {
		return
	}
	if refused && !c.flags.highTold {
		c.tellWritable(ctx, false)
	}
	if high := c.credit.high(); high != c.flags.highTold {
		c.tellWritable(ctx, !high)
	}
	if !c.credit.high() {
		c.tellSenders()
	}
}

func (c *Connection) tellWritable(ctx actor.Context, ready bool) {
	c.flags.highTold = !ready
	if r := c.rare.Load(); r != nil && ready {
		r.room.fits.Store(0)
	}
	c.deliver(ctx, &protocol.Writable{Socket: c, Ready: ready})
}

// tellSenders tells the senders of refused writes that there is room.
func (c *Connection) tellSenders() {
	r := c.rare.Load()
	if r == nil || len(r.room.refused.pids) == 0 {
		return
	}
	told := r.room.refused
	r.room.refused = senders{}
	for _, pid := range told.pids {
		send(c.system(), pid, told.known[sender{pid.Address, pid.Id}], &protocol.WriteReady{PID: c.pid})
	}
}

// senders is a set of actors, in the order in which they came.
type senders struct {
	pids  []*actor.PID
	known map[sender]protocol.Form // of what each gets; nil: as it is
	prune int                      // the length at which those that have ended are looked for
}

// sender is the part that is equal in all PIDs of one actor.
type sender struct{ address, id string }

const (
	// fewestSenders is the length below which a search for senders that have ended is not worth it.
	fewestSenders = 64
	// mostForeign is how many senders of other nodes a search leaves. Nothing here knows of their
	// end.
	mostForeign = 1024
)

// add adds pid. The form is that of its first refused write. Futures end with their answer, and
// every request has one of its own, so those that have ended are removed whenever the set has
// doubled. Of the senders of other nodes the newest stay.
func (s *senders) add(registry *actor.ProcessRegistryValue, pid *actor.PID, form protocol.Form) {
	key := sender{pid.Address, pid.Id}
	if _, ok := s.known[key]; ok {
		return
	}
	if len(s.pids) >= max(s.prune, fewestSenders) {
		s.removeEnded(registry)
		s.prune = 2 * len(s.pids)
	}
	if s.known == nil {
		s.known = map[sender]protocol.Form{}
	}
	s.known[key] = form
	s.pids = append(s.pids, pid)
}

func (s *senders) removeEnded(registry *actor.ProcessRegistryValue) {
	tooMany := -mostForeign
	for _, pid := range s.pids {
		if pid.Address != registry.Address {
			tooMany++
		}
	}
	left := s.pids[:0]
	for _, pid := range s.pids {
		_, stays := registry.Get(pid)
		if pid.Address != registry.Address && tooMany > 0 {
			tooMany--
			stays = false
		}
		if stays {
			left = append(left, pid)
		} else {
			delete(s.known, sender{pid.Address, pid.Id})
		}
	}
	clear(s.pids[len(left):])
	s.pids = left
}
