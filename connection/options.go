package connection

import (
	"fmt"
	"math"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// Options of one connection. The zero value is useful. In every field 0 means the default and,
// where the field is a limit, a negative number means off.
type Options struct {
	// ReadBufferSize is the most unread bytes shown at once and held while the handler does not
	// consume them. Default 8 KiB; it cannot be off: without it, a peer decides how much memory it
	// takes.
	ReadBufferSize int
	// MaxReadBufferSize is the most unread bytes that a handler may ask for with Buffer.Need, for a
	// frame that is longer than ReadBufferSize. The memory is taken as the bytes come, and only
	// after such a Need. Default 1 MiB, or ReadBufferSize if that is more; a MemoryBudget with a
	// lower high water allows less. It cannot be off: a handler needs what a peer's length says.
	MaxReadBufferSize int
	// WriteBufferSize is the most bytes of accepted writes that wait for the kernel. Default 32
	// KiB, or ReadBufferSize if that is more, so that what was read whole can be forwarded whole.
	// Off: a peer that does not read takes as much memory as the handler writes.
	WriteBufferSize int
	// WriteQueueSize is the most accepted writes that wait for the kernel, however small. Default
	// 64.
	WriteQueueSize int

	// SlowConsumer decides what happens to a write that does not fit because the peer is slow.
	// Default SlowRefuse.
	SlowConsumer SlowPolicy

	// ReadGate says when Data may be delivered although own writes are pending. Default GateQuiet:
	// not at all, so a server that answers stops reading from a peer that does not read.
	ReadGate Gate
	// ReadMode decides when Data is delivered: as it comes, or on request. Default Push.
	ReadMode Mode
	// HoldFullReadBuffer keeps a connection open until Resume if its handler consumed nothing of a
	// full read buffer. Default false: the connection ends with ErrReadBufferFull, because
	// otherwise it would hang for ever.
	HoldFullReadBuffer bool
	// KeepOpenOnPeerClosed delivers PeerClosed when the peer sent FIN, and lets the handler decide
	// when to close. Default false: accepted writes are flushed, then the connection closes.
	KeepOpenOnPeerClosed bool
	// HighWater and LowWater are marks for the pending bytes, between which Writable alternates.
	// Default: no HighWater, so that Writable comes after refused writes only; LowWater half of
	// HighWater (of WriteBufferSize without one).
	HighWater int
	LowWater  int

	// RestartHandler keeps a connection when its handler panics: a new handler takes over the same
	// socket. Default: a panic closes the connection.
	RestartHandler RestartHandler

	// IdleTimeout ends a connection on which no byte was read or written for that long while the
	// server waited for its peer. Default off, as in ranch and package net; then silent clients
	// hold their permits for ever.
	//
	// Time does not count while a handler call runs or is due, while reading is stopped (Pause,
	// used-up credits, pull mode before the next Resume, a full read buffer that is held), or while
	// a MemoryBudget holds the reading back. A handler that hands a request on and returns must
	// stop reading until the answer is written: a request that was shown to the handler does not
	// stop the clock. Messages are no traffic.
	IdleTimeout time.Duration
	// ReadTimeout ends a connection when its peer sent no byte for that long. Bytes that the server
	// sends do not count, and messages do not. Default off. Time does not count while the server
	// would not read: while a handler call runs or is due, reading is stopped or held back as for
	// IdleTimeout, or ReadGate waits for own writes. Time after the peer's FIN does not count
	// either; see HalfCloseTimeout.
	ReadTimeout time.Duration
	// HandshakeTimeout bounds what comes before the first byte: a PROXY header and the TLS
	// handshake, both together; and the handshake of a StartTLS. Default 5 s. Off: a client that
	// stalls in it holds its permit for ever.
	HandshakeTimeout time.Duration
	// WriteTimeout ends a connection when its peer took not one byte for that long while writes
	// were pending. Default 30 s. One byte is progress, also in the middle of a large write, of a
	// file or of a TLS record. Off: a peer that does not read holds its permit and its buffers for
	// ever.
	WriteTimeout time.Duration
	// CloseTimeout bounds the flush of a close. Default 5 s. Off: a peer that does not read makes
	// every close wait for ever.
	CloseTimeout time.Duration
	// LingerTimeout bounds the wait for the peer's FIN after ours; what the peer sends meanwhile is
	// discarded, and gives it no more time. After the peer's reset it bounds the wait for a handler
	// that is paused or has no demand, and has not been shown everything that came before. Default
	// 1 s. The connection's permit among MaxConnections is free from our FIN on; see there for how
	// many may wait. Off: a client that never closes keeps its socket, until others need it, and a
	// handler that never resumes keeps a permit.
	LingerTimeout time.Duration
	// HalfCloseTimeout ends a connection after one direction has ended and nothing moved for that
	// long. A direction ends by the peer's FIN with KeepOpenOnPeerClosed, or while its handler is
	// shown nothing, or by CloseWrite. Default 1 minute: set more where an answer takes longer than
	// that. Off: a peer that vanished after its FIN, or that never sends its own, holds its permit
	// for ever.
	HalfCloseTimeout time.Duration
	// MaxAge is how long a connection may live, give or take up to a tenth: connections that were
	// accepted together do not end together. At that age its handler gets Draining, and the
	// connection is closed once it is quiet (see DrainQuiet; a handler with a Draining method
	// decides itself), at the latest MaxAgeGrace later. Default off.
	MaxAge time.Duration
	// MaxAgeGrace is how long a connection may go on after its MaxAge. Default 10 s. Off: until it
	// is quiet, or its handler closes it.
	MaxAgeGrace time.Duration
	// DrainQuiet is how long nothing may have moved on a connection before a server that shuts down
	// closes it, or before its MaxAge does. A connection is not quiet while its handler runs; it is
	// while it is paused. Default 1 s. Off: only the deadline closes it.
	DrainQuiet time.Duration

	// WarnAfter is how long a condition that an operator should know of must hold before a Warning
	// is published: a handler that does not return, a pause while the peer is gone, a write queue
	// that stays full. Default 10 s. Off: none of these warnings.
	WarnAfter time.Duration

	// Dispatcher runs the handlers. Default: goroutines of the listener's own. Berth never stops a
	// Dispatcher that the caller sets. Its Schedule must not run the function on the calling
	// goroutine.
	Dispatcher actor.Dispatcher
}

// Gate says when Data may be delivered although own writes are pending.
type Gate uint8

const (
	// GateQuiet delivers Data only while no own write is pending.
	GateQuiet Gate = iota
	// GateLowWater delivers Data while at most LowWater bytes are pending.
	GateLowWater
	// GateOff delivers Data regardless of pending writes.
	GateOff
)

// Mode decides when Data is delivered.
type Mode uint8

const (
	// Push delivers Data as it comes.
	Push Mode = iota
	// Pull delivers one Data per Resume (or as many as its Credit), and none before the first.
	Pull
)

// WithDefaults returns o with every default filled in and what is off made unlimited.
func (o Options) WithDefaults() Options {
	orDefault(&o.ReadBufferSize, 8<<10, -1)
	orDefault(&o.MaxReadBufferSize, max(1<<20, o.ReadBufferSize), -1)
	orDefault(&o.WriteBufferSize, max(32<<10, o.ReadBufferSize), maxBytes)
	orDefault(&o.WriteQueueSize, 64, maxCount)
	orDefault(&o.HandshakeTimeout, 5*time.Second, -1)
	orDefault(&o.WriteTimeout, 30*time.Second, -1)
	orDefault(&o.CloseTimeout, 5*time.Second, -1)
	orDefault(&o.LingerTimeout, time.Second, -1)
	orDefault(&o.HalfCloseTimeout, time.Minute, -1)
	orDefault(&o.MaxAgeGrace, 10*time.Second, -1)
	orDefault(&o.DrainQuiet, time.Second, -1)
	orDefault(&o.WarnAfter, 10*time.Second, -1)
	if o.RestartHandler.Max > 0 {
		orDefault(&o.RestartHandler.Within, 10*time.Second, -1)
	}
	if o.LowWater == 0 {
		o.LowWater = o.HighWater / 2
		if o.HighWater == 0 {
			o.LowWater = o.WriteBufferSize / 2
		}
	}
	return o
}

func orDefault[T int | time.Duration](field *T, standard, off T) {
	switch {
	case *field == 0:
		*field = standard
	case *field < 0:
		*field = off
	}
}

// Validate returns one sentence about the first option that is not valid, nil if all are.
func (o Options) Validate() error {
	switch {
	case o.ReadBufferSize < 0:
		return fmt.Errorf("berth: ReadBufferSize cannot be off (%d): a peer would decide how much memory it takes", o.ReadBufferSize)
	case o.ReadBufferSize > maxReadBuffer:
		return fmt.Errorf("berth: ReadBufferSize %d is over 1 GiB", o.ReadBufferSize)
	case o.MaxReadBufferSize < 0:
		return fmt.Errorf("berth: MaxReadBufferSize cannot be off (%d): a handler needs what a peer's length says", o.MaxReadBufferSize)
	case o.MaxReadBufferSize > maxReadBuffer:
		return fmt.Errorf("berth: MaxReadBufferSize %d is over 1 GiB", o.MaxReadBufferSize)
	case o.MaxReadBufferSize > 0 && o.MaxReadBufferSize < o.WithDefaults().ReadBufferSize:
		return fmt.Errorf("berth: MaxReadBufferSize %d is below the ReadBufferSize of %d", o.MaxReadBufferSize, o.WithDefaults().ReadBufferSize)
	case o.WriteBufferSize > maxBytes:
		return fmt.Errorf("berth: WriteBufferSize %d is over %d", o.WriteBufferSize, maxBytes)
	case o.WriteQueueSize > maxCount:
		return fmt.Errorf("berth: WriteQueueSize %d is over %d", o.WriteQueueSize, maxCount)
	case o.SlowConsumer > SlowDropNewest:
		return fmt.Errorf("berth: SlowConsumer %d is none of SlowRefuse, SlowClose, SlowDropNewest", o.SlowConsumer)
	case o.ReadGate > GateOff:
		return fmt.Errorf("berth: ReadGate %d is none of GateQuiet, GateLowWater, GateOff", o.ReadGate)
	case o.ReadMode > Pull:
		return fmt.Errorf("berth: ReadMode %d is neither Push nor Pull", o.ReadMode)
	case o.HighWater < 0 || o.LowWater < 0:
		return fmt.Errorf("berth: HighWater %d and LowWater %d must not be negative", o.HighWater, o.LowWater)
	case o.HighWater > 0 && o.WithDefaults().WriteBufferSize < o.HighWater:
		return fmt.Errorf("berth: HighWater %d cannot be reached with a WriteBufferSize of %d", o.HighWater, o.WithDefaults().WriteBufferSize)
	case o.HighWater > 0 && o.LowWater >= o.HighWater:
		return fmt.Errorf("berth: LowWater %d must be below HighWater %d", o.LowWater, o.HighWater)
	}
	return o.RestartHandler.validate()
}

const maxReadBuffer = 1 << 30

// limits returns the options that the reservation of a write needs. o has its defaults.
func (o Options) limits() limits {
	l := limits{writes: o.WriteQueueSize, bytes: o.WriteBufferSize, highWater: math.MaxInt, lowWater: o.LowWater}
	if o.HighWater > 0 {
		l.highWater = o.HighWater
	}
	return l
}
