package connection

import (
	"errors"
	"runtime/debug"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// writer is the actor that passes accepted writes to the kernel. Callers reserve credit for an
// entry and then put it into the inbox. Whether an entry is written or fails, the writer releases
// its credit and completes it exactly once. All entries that wait are written by one system call.
//
// Where the transport does not block, a caller that finds no room runs the writer's turn itself;
// see room.go.
//
// The writer ends by itself when it was ordered to finish (everything accepted is written, FIN
// sent) or to give up, or when the kernel refuses. Then it signals the connection, which stops the
// actor.
type writer struct {
	c       *Connection
	pid     *actor.PID
	mailbox tcpactor.Mailbox
	inbox   inbox         // accepted, and not in the queue yet; any goroutine
	queue   queue         // accepted; the writer's turn only, as ended
	orders  atomic.Uint32 // and blocked; any goroutine
	ended   bool
}

// Orders to the writer. Any goroutine may give them; only orderWritable is ever taken back.
const (
	orderFlush    uint32 = 1 << iota // write what was accepted, then end
	orderFIN                         // and send FIN before
	orderGiveUp                      // fail what was accepted
	orderWritable                    // the kernel takes bytes again
	blocked                          // no order: the kernel takes no more for now, or the connection is not open yet; orderWritable ends it
	starved                          // no order: blocked, because the file that is first in the queue has given nothing yet
	orderPass                        // the handshake of StartTLS is done: go on behind the barrier
	barred                           // no order: blocked, because a barrier is first in the queue
)

// flush is the message by which the writer's mailbox tells it that its mail is read.
type flush struct{}

// Limits of one system call: enough to amortise it, little enough that a stalled or slow peer shows
// progress.
const (
	maxVector = 64
	maxBatch  = 256 << 10
)

func (w *writer) order(o uint32) {
	w.orders.Or(o)
	w.mailbox.Schedule()
}

func (w *writer) ordered(o uint32) bool { return w.orders.Load()&o != 0 }

// open lets the writer begin. Until then it only keeps what was accepted.
func (w *writer) open() {
	if before := w.orders.Or(orderWritable); before&orderFlush != 0 || !w.c.credit.idle() {
		w.mailbox.Schedule()
	}
}

// post takes over an entry that has its credit. Any goroutine may call it. Only the first entry of
// an empty inbox gives the writer a turn: the turn that it gives takes all that come before it
// begins.
func (w *writer) post(e *entry) {
	if w.inbox.push(e) {
		w.mailbox.Schedule()
	}
}

// stuck reports whether the kernel takes no more, as far as is known. Any goroutine may call it.
func (w *writer) stuck() bool { return w.orders.Load()&(blocked|orderWritable) == blocked }

// full notes that a write under way waits, because the kernel takes no more for now.
func (w *writer) full() {
	w.orders.Or(blocked)
	w.c.writerNews()
}

// Receive implements actor.Actor.
func (w *writer) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *flush:
		w.work()
	case *actor.Stopping:
		if !w.ended { // the writer was stopped from outside: without it the connection cannot go on
			w.c.setCause(protocol.ReasonStopped, protocol.ErrStopped)
			w.end(w.c.causeErr())
		}
	case *actor.Stopped:
		w.mailbox.Close()
	}
}

// Pull implements tcpactor.Source: mail is read, so the batch is complete.
func (w *writer) Pull() any {
	if w.ended {
		return nil
	}
	w.inbox.drainTo(&w.queue)
	if w.ordered(starved) && w.c.state() >= flushing {
		w.queue.first.file().source.hurry()
	}
	if w.ordered(blocked) && w.ordered(orderWritable) {
		w.orders.And(^blocked)
	}
	if w.ordered(orderGiveUp) || w.mayFinish() || !w.queue.empty() && !w.ordered(blocked) {
		return flushNow
	}
	return nil
}

var flushNow = &flush{}

// Drop implements tcpactor.Source. Entries do not come by mail, and no other message has a meaning
// here.
func (w *writer) Drop(any) {}

// Failed implements tcpactor.FailureTaker: a net.Conn of the user's panicked. The supervisor stops
// the writer, and with it the connection; this is why.
func (w *writer) Failed(_ actor.Context, _, reason any) (taken bool) {
	if reason != nil {
		w.c.setCause(protocol.ReasonTransportError, &protocol.PanicError{Value: reason, Stack: debug.Stack()})
	}
	return false
}

// mayFinish reports whether everything accepted is written, with nothing accepted still on its way,
// nor a barrier, which has no credit.
func (w *writer) mayFinish() bool {
	return w.ordered(orderFlush) && !w.ordered(blocked) && w.queue.empty() && w.c.credit.idle() && w.inbox.empty()
}

func (w *writer) work() {
	switch {
	case w.ended:
	case w.ordered(orderGiveUp):
		w.end(w.c.causeErr())
	case !w.queue.empty():
		w.write()
	case w.mayFinish():
		w.orders.And(^orderWritable) // before the call, as in write
		if err := w.sendFIN(); errors.Is(err, transport.ErrAgain) {
			w.orders.Or(blocked)
		} else {
			w.end(err)
		}
	}
}

// sendFIN returns ErrAgain where TLS's close_notify waits for room.
func (w *writer) sendFIN() error {
	if !w.ordered(orderFIN) {
		return w.c.conn().CloseNotify()
	}
	err := w.c.conn().CloseWrite()
	switch {
	case errors.Is(err, transport.ErrNoHalfClose):
		w.c.makeRare().noFIN.Store(true) // the close that follows sends the FIN
		return nil
	case err != nil && !errors.Is(err, transport.ErrAgain):
		w.c.setCause(w.c.classify("close", err))
	}
	return err
}

// write makes one system call for as much of the queue as fits one.
func (w *writer) write() {
	w.orders.And(^orderWritable) // before the call: a readiness that comes during it must not be lost
	var n int
	var err error
	switch head := w.queue.first; {
	case head.barrier():
		w.pass()
		return
	case head.left() == 0: // wrote completes it
	case head.file() != nil:
		n, err = w.writeFile(head)
	default:
		if bufs := alone(&w.queue); bufs != nil {
			n, err = w.c.conn().Writev(bufs)
			break
		}
		v := newVector()
		bufs := v.fill(&w.queue)
		if len(bufs) > 0 {
			n, err = w.c.conn().Writev(bufs)
		}
		v.free(len(bufs))
	}
	again := errors.Is(err, transport.ErrAgain)
	switch { // before the release of credit: a caller that finds none asks why
	case again:
		w.orders.Or(blocked)
	case errors.Is(err, errNoPiece):
		w.starve()
		return
	case w.ordered(blocked): // by full
		w.orders.And(^blocked)
	}
	w.wrote(n)
	switch {
	case err == nil, again:
	case isFileError(err):
		w.failFile(err)
	case transport.IsReset(err):
		reason, err := w.c.classify("write", err)
		w.c.setCause(reason, err)
		w.c.blame(err) // a close under way is no orderly one any more
		w.end(w.c.causeErr())
	default:
		// The peer does not know of it. It must neither wait for the rest nor take what it got for
		// the whole.
		w.c.kill(w.c.classify("write", err))
		w.end(w.c.causeErr())
	}
}

// wrote notes that the kernel took the first n bytes of the queue. Entries without bytes are done
// as soon as they are first.
func (w *writer) wrote(n int) {
	w.c.written.Add(uint64(n))
	var g gone
	for e := w.queue.first; e != nil; e = e.next {
		if e.barrier() {
			break
		}
		took := int(min(int64(n), e.left()))
		n -= took
		e.advance(took, &g)
		if e.left() > 0 {
			break
		}
		g.entries++
	}
	w.settle(g, nil)
}

// pass removes the barrier that is first in the queue, if the handshake is done. If not, it tells
// the connection that everything before the barrier is written.
func (w *writer) pass() {
	if w.ordered(orderPass) {
		w.orders.And(^(orderPass | barred))
		w.settle(gone{entries: 1}, nil)
		return
	}
	if w.orders.Or(blocked|barred)&barred == 0 {
		w.c.mailbox.Schedule()
	}
	w.c.writerNews()
}

// end fails everything accepted and not written, also what is still on its way, and tells the
// connection.
func (w *writer) end(err error) {
	w.ended = true
	if err != nil {
		w.c.makeRare().writerErr = err
	}
	w.c.refuseWrites()
	for {
		var g gone
		for e := w.queue.first; e != nil; e = e.next {
			w.c.makeRare().cut.Add(uint64(e.left()))
			e.forgo(&g)
			g.entries++
		}
		w.settle(g, err)
		if w.c.credit.idle() {
			break
		}
		w.await()
	}
	w.c.signal(signalWriterEnded)
}

// settle releases the credit and the memory of what left the queue: the first entries, and perhaps
// a part of the one after them. Only then it completes them: a caller that is told finds the room
// that its write left.
func (w *writer) settle(g gone, err error) {
	if w.c.credit.release(g.writes, g.bytes, &w.c.shared.limits, w.c.fits) {
		w.c.signal(signalWater)
	}
	w.c.giveBack(g.memory)
	if g.writes > 0 || g.bytes > 0 {
		w.c.roomMade()
	}
	w.c.writerNews()
	w.c.writesReleased()
	var spent *entry
	for range g.entries {
		e := w.queue.pop()
		w.complete(e, err)
		e.next, spent = spent, e
	}
	if spent != nil {
		entries.Put(spent)
	}
}

// await fetches entries that are still coming: their callers have reserved and are about to post.
func (w *writer) await() {
	for w.inbox.drainTo(&w.queue); w.queue.empty(); w.inbox.drainTo(&w.queue) {
		yield()
	}
}

// complete tells the caller or sender that asked to be told, and empties the entry.
func (w *writer) complete(e *entry, err error) {
	if f := e.file(); f != nil {
		f.end()
	}
	if e.done != nil {
		w.c.completions.add(e.done, err)
		w.c.signal(signalCompletions)
	}
	if r := e.rest; r != nil && r.reply.sender != nil {
		answerWrite(w.c.system(), &r.reply, err)
	}
	e.clear()
}

// post hands a reserved entry to the writer.
func (c *Connection) post(e *entry, crossed bool) {
	c.writer.post(e)
	if crossed {
		c.signal(signalWater)
	}
}
