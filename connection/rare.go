package connection

import (
	"crypto/tls"
	"math"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// rare holds the fields that few connections need, or that they need only at their end. It is made
// when first needed, so that an idle connection is small.
type rare struct {
	// Any goroutine.
	cut, missing  saturating    // bytes accepted and not written: cut off by the end, or of files that failed by themselves
	dropped       saturating    // bytes, by SlowDropNewest
	droppedWrites atomic.Uint64 // how many
	holding       atomic.Bool   // HoldFullReadBuffer: the connection reads no more until Resume
	agedAt        atomic.Int64  // when the sweep saw that MaxAge is reached, on its clock
	timeouts      atomic.Pointer[protocol.Timeouts]
	share         *share       // of the budget, where there is one: then each connection has it from the beginning
	room          room         // refused writes, and callers that wait for room
	fileAsked     atomic.Int64 // when the file that is first in the queue was asked for its next piece, on the spawner's clock

	unread  atomic.Uint64 // bytes that came and that the handler did not consume
	closing closingHooks

	value        atomic.Pointer[any]     // of SetValue
	blockedSince atomic.Int64            // when the turn under way began, as far as the sweep knows, on the spawner's clock; 0: none is known to last
	handled      atomic.Pointer[handled] // by Measure
	replaced     atomic.Int64            // handlers that panicked and were replaced, since the last Become

	timeoutsSeen protocol.Timeouts // the limits that were in force at the last look; the sweep's

	published chan struct{} // closed once another goroutine than the turn has published Closing; see publishClosing

	dialled *dialled // nil: it was accepted

	covering   transport.Conn // what StartTLS has put in the place of the socket; set before covered
	shakesSeen time.Duration  // when the sweep first saw the handshake of StartTLS, on its clock; 0: not yet

	ungated atomic.Bool // the handler is an Ungated one: ReadGate does not hold Data back

	noFIN atomic.Bool // the transport has no half-close: the close itself is the FIN

	writerErr error // why the writer ended; the writer's until signalWriterEnded, then the connection's

	// The connection's turn.
	inputErr error   // why the input ended, if not by FIN
	waiting  []reply // to the senders of Close or CloseWrite that wait for it
	links    links
	restarts restarts
	watchers *actor.PIDSet    // nil: none
	factory  protocol.Factory // of the last Become, nil: none
	became   bool             // its handler is there
	salvaged bool             // the handler was shown something since the wait for it began
	tls      *tls.Config      // of a StartTLS; nil: none, or its handshake is over
	tlsBegan time.Duration    // when that handshake began, on the spawner's clock; 0: it has not
}

// makeRare returns the connection's rare, and makes it if there is none. Any goroutine may call it.
func (c *Connection) makeRare() *rare {
	if c.rare.Load() == nil {
		c.rare.CompareAndSwap(nil, &rare{room: room{writing: make(chan struct{}, 1)}})
	}
	return c.rare.Load()
}

func (c *Connection) unsent() uint64 {
	if r := c.rare.Load(); r != nil {
		return saturated(r.cut.Load(), r.missing.Load())
	}
	return 0
}

// saturating counts bytes. It stops at the most that it can hold: files may be said to have any
// number of bytes.
type saturating struct{ atomic.Uint64 }

func (s *saturating) Add(n uint64) {
	for {
		before := s.Load()
		if s.CompareAndSwap(before, saturated(before, n)) {
			return
		}
	}
}

func saturated(a, b uint64) uint64 { return a + min(b, math.MaxUint64-a) }

// lost returns how many bytes were not written because of the end of the connection. Bytes that
// were missing in their files do not count.
func (c *Connection) lost() uint64 {
	if r := c.rare.Load(); r != nil {
		return r.cut.Load()
	}
	return 0
}

func (c *Connection) inputErr() error {
	if r := c.rare.Load(); r != nil {
		return r.inputErr
	}
	return nil
}

// noFIN reports whether the FIN comes only with the close.
func (c *Connection) noFIN() bool {
	r := c.rare.Load()
	return r != nil && r.noFIN.Load()
}

// err is why the writer ended. The connection asks after it saw signalWriterEnded.
func (w *writer) err() error {
	if r := w.c.rare.Load(); r != nil {
		return r.writerErr
	}
	return nil
}
