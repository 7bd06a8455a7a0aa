package connection

import (
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/protocol"
)

const second = time.Second

// signalled returns what the sweep signals at a moment to a connection that has nothing to do.
func signalled(c *Connection, now time.Duration) uint32 {
	c.rest()
	return signalledAsItIs(c, now)
}

func signalledAsItIs(c *Connection, now time.Duration) uint32 {
	c.checkTimeouts(now, now-c.shared.sweptAt)
	c.shared.sweptAt = now
	return c.signals.Swap(0)
}

func TestAnIdleConnectionIsNoticedAtItsLimitAndNotBefore(t *testing.T) {
	c := newConnection(Options{IdleTimeout: 10 * second}, &taker{})
	assert.Zero(t, signalled(c, 10*second-1))
	assert.Equal(t, signalIdle, signalled(c, 10*second))
}

func TestOnlyTrafficResetsIdleTimeout(t *testing.T) {
	for name, traffic := range map[string]func(*Connection){
		"read":    func(c *Connection) { c.read.Add(1) },
		"written": func(c *Connection) { c.written.Add(1) },
	} {
		c := newConnection(Options{IdleTimeout: 10 * second}, &taker{})
		traffic(c)
		assert.Zero(t, signalled(c, 8*second), name)
		assert.Zero(t, signalled(c, 18*second-1), name)
		assert.Equal(t, signalIdle, signalled(c, 18*second), name)
	}
	c := newConnection(Options{IdleTimeout: 10 * second}, &taker{})
	assert.Zero(t, signalled(c, 8*second))
	c.Pause()
	c.Resume()
	assert.Equal(t, signalIdle, signalled(c, 10*second))
}

func TestAConnectionIsNotIdleForTheTimeThatItsHandshakeTook(t *testing.T) {
	c := newConnection(Options{IdleTimeout: 2 * second, HandshakeTimeout: 10 * second}, &taker{})
	c.setState(opening)
	assert.Zero(t, signalled(c, 5*second))
	c.setState(open)
	assert.Zero(t, signalled(c, 6*second))
	assert.Zero(t, signalled(c, 8*second-1))
	assert.Equal(t, signalIdle, signalled(c, 8*second))
}

func TestAStallIsPendingWritesWithoutProgress(t *testing.T) {
	c := newConnection(Options{WriteTimeout: 10 * second}, &taker{})
	assert.Zero(t, signalled(c, 100*second), "nothing is pending")
	_, _ = c.Write(make([]byte, 100))
	assert.Zero(t, signalled(c, 101*second), "seen now, it has been pending for up to a second")
	assert.Zero(t, signalled(c, 111*second-1), "and may have been for less than the limit")
	assert.Zero(t, signalled(c, 111*second), "it is tried once more")
	assert.Equal(t, signalStall, signalled(c, 111*second+1))
	c.written.Add(1)
	assert.Zero(t, signalled(c, 112*second), "one byte is progress")
	for at := 113 * second; at <= 122*second; at += second {
		c.read.Add(1)
		assert.Zero(t, signalled(c, at))
	}
	c.read.Add(1)
	assert.Equal(t, signalStall, signalled(c, 122*second+1), "what the peer sends is none")
}

// below is a socket that moves bytes inside of calls that do not return.
type below struct {
	taker
	read, written uint64
	retry         func(last bool)
}

func (b *below) Progress() (uint64, uint64) { return b.read, b.written }
func (b *below) Retry(last bool)            { b.retry(last) }

func TestProgressInsideACallCountsInItsDirection(t *testing.T) {
	socket := &below{retry: func(bool) {}}
	c := newConnection(Options{WriteTimeout: 10 * second, IdleTimeout: 15 * second}, socket)
	_, _ = c.Write(make([]byte, 100))
	for at := second; at < 100*second; at += 7 * second {
		socket.written++
		assert.Zero(t, signalled(c, at))
	}
	c = newConnection(Options{WriteTimeout: 100 * second, IdleTimeout: 15 * second}, socket)
	_, _ = c.Write(make([]byte, 100))
	for at := second; at < 99*second; at += 7 * second {
		socket.read++
		assert.Zero(t, signalled(c, at))
	}
	socket.read++
	assert.Zero(t, signalled(c, 101*second))
	socket.read++
	assert.Equal(t, signalStall, signalled(c, 102*second), "what the peer sends is none")
}

// The bytes that the peer has taken are seen in time for the decision, even if only a Retry shows
// them.
func TestAWriteIsTriedOnceMoreBeforeALimitEndsTheConnection(t *testing.T) {
	for name, limit := range map[string]struct {
		options Options
		half    bool
		signal  uint32
	}{
		"WriteTimeout":     {options: Options{WriteTimeout: 10 * second}, signal: signalStall},
		"IdleTimeout":      {options: Options{IdleTimeout: 10 * second, WriteTimeout: -1}, signal: signalIdle},
		"HalfCloseTimeout": {options: Options{HalfCloseTimeout: 10 * second, WriteTimeout: -1}, half: true, signal: signalHalf},
	} {
		t.Run(name, func(t *testing.T) {
			socket, takes := &below{}, true
			socket.retry = func(last bool) {
				if last && takes {
					socket.written++
				}
			}
			c := newConnection(limit.options, socket)
			if limit.half {
				c.phase.Or(halfClosed)
			}
			_, _ = c.Write(make([]byte, 100))
			at := second
			assert.Zero(t, signalled(c, at))
			for range 3 {
				at += 10 * second
				assert.Zero(t, signalled(c, at))
				at++
				assert.Zero(t, signalled(c, at), "a byte was taken")
			}
			takes = false
			assert.Zero(t, signalled(c, at+10*second))
			assert.Equal(t, limit.signal, signalled(c, at+10*second+1))
		})
	}
}

func TestHandshakeAndCloseTimeoutsBeginWhenSeen(t *testing.T) {
	c := newConnection(Options{HandshakeTimeout: 3 * second, CloseTimeout: 2 * second, LingerTimeout: 3 * second, IdleTimeout: second}, &taker{})
	c.setState(opening)
	assert.Zero(t, signalled(c, 3*second-1), "and an opening connection is not idle")
	assert.Equal(t, signalUnfinished, signalled(c, 3*second))

	c.setState(flushing)
	assert.Zero(t, signalled(c, 10*second))
	c.written.Add(1)
	assert.Zero(t, signalled(c, 12*second-1))
	assert.Equal(t, signalLate, signalled(c, 12*second), "progress does not buy a flush more time")
	c.setState(closing)
	assert.Zero(t, signalled(c, 13*second), "the wait for the peer's FIN has its own time")
	c.read.Add(1)
	assert.Zero(t, signalled(c, 16*second-1))
	assert.Equal(t, signalLate, signalled(c, 16*second), "and what the peer sends buys it no more")
	c.setState(closed)
	assert.Zero(t, signalled(c, 100*second))
}

func TestTheWaitForAHandlerAfterAResetIsTheLingerTimeout(t *testing.T) {
	c := newConnection(Options{CloseTimeout: 2 * second, LingerTimeout: 3 * second}, &taker{})
	c.leaveOpen(true)
	assert.Zero(t, signalled(c, second))
	assert.Zero(t, signalled(c, 4*second-1))
	assert.Equal(t, signalLate, signalled(c, 4*second))
	c.salvaged() // a Data
	assert.Zero(t, signalled(c, 5*second))
	assert.Zero(t, signalled(c, 8*second-1))
	assert.Equal(t, signalLate, signalled(c, 8*second))
}

// The limits of the handshake and the close are the listener's, even if the handler has set its
// own.
func TestSetTimeoutsGivesNoTimeToAHandshakeOrAClose(t *testing.T) {
	for s, o := range map[state]Options{
		opening:  {HandshakeTimeout: 11 * second}, // from the beginning
		flushing: {CloseTimeout: 10 * second},
		closing:  {LingerTimeout: 10 * second},
	} {
		c := newConnection(o, &taker{})
		c.setState(s)
		assert.Zero(t, signalled(c, second), "%s", s)
		for now := 2 * second; now < 11*second; now += second {
			c.SetTimeouts(protocol.Timeouts{Idle: now, Read: 2 * now, MaxAge: 3 * now})
			assert.Zero(t, signalled(c, now), "%s", s)
		}
		assert.NotZero(t, signalled(c, 11*second), "%s", s)
	}
}

func TestWithoutAHalfCloseTheCloseWaitsForNoFIN(t *testing.T) {
	c := newConnection(Options{LingerTimeout: -1}, &taker{})
	c.makeRare().noFIN.Store(true)
	c.setState(closing)
	assert.Zero(t, signalled(c, second))
	assert.Zero(t, signalled(c, second+lastWords-1))
	assert.Equal(t, signalLate, signalled(c, second+lastWords))
}

func TestWhileDrainingAQuietConnectionIsNoticed(t *testing.T) {
	c := newConnection(Options{DrainQuiet: second}, &taker{})
	assert.Zero(t, signalled(c, 100*second), "no connection drains")
	c.shared.SetDeadline(time.Now())
	_, _ = c.Write([]byte("pending"))
	assert.Zero(t, signalled(c, 101*second), "its own writes are on their way")
	c.credit.release(1, 7, &c.shared.limits, noneRefused)
	c.written.Add(7)
	assert.Zero(t, signalled(c, 102*second))
	assert.Zero(t, signalled(c, 103*second-1))
	assert.Equal(t, signalQuiet, signalled(c, 103*second))
}

func TestAServerThatShutsDownWaitsForAPeersFINOnlyUntilItIsQuiet(t *testing.T) {
	c := newConnection(Options{CloseTimeout: 100 * second, LingerTimeout: 100 * second, DrainQuiet: second}, &taker{})
	c.setState(closing)
	assert.Zero(t, signalled(c, 0))
	assert.Zero(t, signalled(c, 99*second), "there is no shutdown")

	c = newConnection(Options{CloseTimeout: 100 * second, LingerTimeout: 100 * second, DrainQuiet: second}, &taker{})
	c.shared.SetDeadline(time.Now())
	c.setState(flushing)
	assert.Zero(t, signalled(c, 0))
	assert.Zero(t, signalled(c, 10*second), "what was accepted has its whole time")
	c.setState(closing)
	assert.Zero(t, signalled(c, 11*second))
	assert.Zero(t, signalled(c, 12*second-1), "the quiet before it does not count")
	c.read.Add(1)
	assert.Zero(t, signalled(c, 12*second), "the peer still sends")
	assert.Zero(t, signalled(c, 13*second-1))
	assert.Equal(t, signalLate, signalled(c, 13*second))
}

func TestHalfCloseTimeoutCountsFromLastTraffic(t *testing.T) {
	c := newConnection(Options{HalfCloseTimeout: 10 * second}, &taker{})
	assert.Zero(t, signalled(c, 100*second), "both directions are open")
	c.phase.Or(halfClosed)
	assert.Equal(t, open, c.state())
	assert.Zero(t, signalled(c, 105*second))
	assert.Zero(t, signalled(c, 115*second-1))
	assert.Equal(t, signalHalf, signalled(c, 115*second))
	c.read.Add(1)
	assert.Zero(t, signalled(c, 116*second))
	c.written.Add(1)
	assert.Zero(t, signalled(c, 120*second))
	assert.Zero(t, signalled(c, 130*second-1))
	assert.Equal(t, signalHalf, signalled(c, 130*second))
	c.setState(flushing)
	assert.Zero(t, signalled(c, 131*second), "a close has its own limit")
}

func TestLimitsThatAreOffAreNeverReached(t *testing.T) {
	c := newConnection(Options{HandshakeTimeout: -1, IdleTimeout: -1, WriteTimeout: -1, CloseTimeout: -1, HalfCloseTimeout: -1, MaxAge: -1, DrainQuiet: -1, ReadTimeout: -1, LingerTimeout: -1},
		&taker{})
	c.phase.Or(halfClosed)
	c.shared.SetDeadline(time.Now())
	_, _ = c.Write([]byte("pending"))
	for s := opening; s <= closed; s++ {
		c.setState(s)
		assert.Zero(t, signalled(c, 0))
		assert.Zero(t, signalled(c, 1000*time.Hour), "%s", s)
	}
}

// The beginning of a wait is seen up to one interval late, and so is its end: together at most an
// eighth of the limit, or 10 ms.
func TestTheSweepComesOftenEnoughForTheShortestLimit(t *testing.T) {
	interval := func(o Options) time.Duration { return newConnection(o, nil).shared.Interval() }
	for _, limit := range []time.Duration{time.Millisecond, 200 * time.Millisecond, second, 2 * second} {
		for _, o := range []Options{{IdleTimeout: limit}, {ReadTimeout: limit}, {HandshakeTimeout: limit}, {WriteTimeout: limit}, {CloseTimeout: limit},
			{HalfCloseTimeout: limit}, {MaxAge: limit, DrainQuiet: -1}, {MaxAge: time.Hour, MaxAgeGrace: limit, DrainQuiet: -1},
			{MaxAge: time.Hour, DrainQuiet: limit}} {
			late := 2 * interval(o)
			assert.LessOrEqual(t, late, max(limit/8, 10*time.Millisecond))
			assert.GreaterOrEqual(t, late, limit/10, "and not oftener than that takes")
		}
	}
	for _, limit := range []time.Duration{200 * time.Millisecond, second} {
		s, told := newConnection(Options{LingerTimeout: limit}, nil).shared, 0
		s.sooner = func() { told++ }
		assert.Greater(t, s.Interval(), 100*time.Millisecond, "no connection waits for a FIN")
		s.noteClosing()
		s.noteClosing()
		assert.Equal(t, limit/16, s.Interval())
		assert.Equal(t, 1, told)
		s.Sweep()
		assert.Greater(t, s.Interval(), 100*time.Millisecond, "none does any more")
	}
	off := interval(Options{HandshakeTimeout: -1, WriteTimeout: -1, CloseTimeout: -1})
	assert.Greater(t, off, 100*time.Millisecond)
	draining := newConnection(Options{DrainQuiet: 160 * time.Millisecond}, nil).shared
	assert.Greater(t, draining.Interval(), 100*time.Millisecond, "no connection drains")
	draining.SetDeadline(time.Now())
	assert.LessOrEqual(t, draining.Interval(), 20*time.Millisecond)
}

// awaited are the states in which a peer waits for the server, not the server for the peer.
var awaited = map[string]func(c *Connection){
	"a turn is due":             func(c *Connection) { c.mailbox.Schedule() },
	"paused":                    func(c *Connection) { c.paused.Store(true) },
	"without demand":            func(c *Connection) { c.demand.Store(0) },
	"a full read buffer":        func(c *Connection) { c.makeRare().holding.Store(true) },
	"without memory to read to": func(c *Connection) { c.makeRare().share = new(share); c.share().waiting.Store(true) },
}

func TestAConnectionIsNotIdleWhileThePeerWaitsForUs(t *testing.T) {
	for name, wait := range awaited {
		t.Run(name, func(t *testing.T) {
			c := newConnection(Options{IdleTimeout: 10 * second}, &taker{})
			assert.Zero(t, signalled(c, 4*second))
			wait(c)
			for now := 5 * second; now <= 100*second; now += second {
				assert.Zero(t, signalledAsItIs(c, now))
			}
			*c.makeRare() = rare{}
			c.paused.Store(false)
			c.demand.Store(unlimited)
			assert.Zero(t, signalled(c, 101*second), "the wait ended at some time before this look")
			assert.Zero(t, signalled(c, 107*second-1), "what was left before")
			assert.Equal(t, signalIdle, signalled(c, 107*second))
		})
	}
}

func TestASilentPeerIsNoticedAtItsLimitWhateverWeSend(t *testing.T) {
	c := newConnection(Options{ReadTimeout: 10 * second}, &taker{})
	assert.Zero(t, signalled(c, 0))
	for now := second; now < 10*second; now += second {
		c.written.Add(1)
		assert.Zero(t, signalled(c, now))
	}
	assert.Equal(t, signalSilent, signalled(c, 10*second))
	c.read.Add(1)
	assert.Zero(t, signalled(c, 15*second))
	assert.Zero(t, signalled(c, 25*second-1))
	assert.Equal(t, signalSilent, signalled(c, 25*second))
	c.read.Add(1)
	assert.Zero(t, signalled(c, 26*second))
	c.phase.Or(halfClosed | inputOver)
	assert.Zero(t, signalled(c, 80*second), "nothing more can come")
}

func TestAPeerIsNotSilentWhileWeWouldNotRead(t *testing.T) {
	waits := maps.Clone(awaited)
	waits["own writes are pending"] = func(c *Connection) { _, _ = c.Write([]byte("pending")) }
	for name, wait := range waits {
		t.Run(name, func(t *testing.T) {
			c := newConnection(Options{ReadTimeout: 10 * second, WriteTimeout: -1}, &taker{})
			assert.Zero(t, signalled(c, 0))
			assert.Zero(t, signalled(c, 4*second))
			wait(c)
			for now := 5 * second; now <= 100*second; now += second {
				assert.Zero(t, signalledAsItIs(c, now))
			}
			*c.makeRare() = rare{}
			c.paused.Store(false)
			c.demand.Store(unlimited)
			if !c.credit.idle() {
				c.credit.release(1, 7, &c.shared.limits, noneRefused)
			}
			assert.Zero(t, signalled(c, 101*second), "the wait ended at some time before this look")
			assert.Zero(t, signalled(c, 107*second-1), "what was left before")
			assert.Equal(t, signalSilent, signalled(c, 107*second))
		})
	}
}

// A handler that works often is not found at work more often than it is, and no limit comes early.
func TestEveryWaitCountsOnceHoweverOftenAHandlerWorks(t *testing.T) {
	c := newConnection(Options{IdleTimeout: 10 * second}, &taker{})
	for now := second; now <= 13*second; now += second {
		if now%(4*second) == 0 {
			c.mailbox.Schedule()
			assert.Zero(t, signalledAsItIs(c, now))
		} else {
			assert.Zero(t, signalled(c, now), "%v", now)
		}
	}
	assert.Equal(t, signalIdle, signalled(c, 14*second), "3 looks found it at work, and one step was left out")
}

func TestAConnectionsOwnTimeoutsHoldFromTheCallOn(t *testing.T) {
	c := newConnection(Options{IdleTimeout: 100 * second, ReadTimeout: 100 * second, MaxAge: 1000 * second, MaxAgeGrace: -1, DrainQuiet: -1}, &taker{})
	c.timing.spread = 1 << 15
	set := func(idle, read, age time.Duration) {
		c.SetTimeouts(protocol.Timeouts{Idle: idle, Read: read, MaxAge: age})
	}
	assert.Zero(t, signalled(c, 50*second))
	set(10*second, 0, 0)
	assert.Zero(t, signalled(c, 60*second), "the silence before the call does not count")
	assert.Zero(t, signalled(c, 70*second-1))
	assert.Equal(t, signalIdle, signalled(c, 70*second))
	set(-1, 20*second, 0)
	assert.Zero(t, signalled(c, 71*second))
	for now := 71 * second; now < 91*second; now += second {
		set(-1, 20*second, 0) // the same again gives no more time
		assert.Zero(t, signalled(c, now))
	}
	assert.Equal(t, signalSilent, signalled(c, 91*second))
	set(-1, -1, 0)
	assert.Zero(t, signalled(c, 900*second))
	set(-1, -1, 800*second)
	assert.Equal(t, signalAged, signalled(c, 901*second), "an age counts from the accept")
	set(-1, -1, -1)
	assert.Zero(t, signalled(c, 5000*second))
	set(0, -1, -1)
	assert.Zero(t, signalled(c, 5001*second))
	assert.Equal(t, signalIdle, signalled(c, 5101*second), "0: the listener's")
	set(-1, 0, -1)
	assert.Zero(t, signalled(c, 5102*second))
	assert.Equal(t, signalSilent, signalled(c, 5202*second))
	set(-1, -1, 0)
	assert.Equal(t, signalAged, signalled(c, 5203*second))
}

func TestTheSweepFollowsTheShortestOfTheConnectionsOwnTimeouts(t *testing.T) {
	c := newConnection(Options{}, &taker{})
	s, told := c.shared.Spawner, 0
	s.live, s.sooner = []*Connection{c}, func() { told++ }
	before := s.Interval()
	for _, t1 := range []protocol.Timeouts{{Idle: 160 * time.Millisecond}, {Read: 160 * time.Millisecond}, {MaxAge: 160 * time.Millisecond}} {
		c.SetTimeouts(t1)
		assert.Equal(t, 10*time.Millisecond, s.Interval(), "%+v", t1)
		s.Sweep()
		assert.Equal(t, 10*time.Millisecond, s.Interval(), "as long as there is such a connection")
		c.SetTimeouts(protocol.Timeouts{Idle: time.Hour})
		s.Sweep()
		assert.Equal(t, before, s.Interval())
	}
	assert.Equal(t, 6, told)
	c.SetTimeouts(protocol.Timeouts{Idle: 160 * time.Millisecond})
	s.live = nil
	s.Sweep()
	assert.Equal(t, before, s.Interval(), "it has ended")
}

func TestAHandlerAtWorkIsNotQuietAndOneThatHasPausedIs(t *testing.T) {
	for name, one := range map[string]struct {
		o     Options
		leave func(c *Connection)
		want  uint32
		at    time.Duration // a half-close counts from the look that sees it
	}{
		"a drain":      {Options{DrainQuiet: 10 * second}, func(c *Connection) { c.shared.SetDeadline(time.Now()) }, signalQuiet, 110 * second},
		"a half-close": {Options{HalfCloseTimeout: 10 * second}, func(c *Connection) { c.phase.Or(halfClosed) }, signalHalf, 111 * second},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConnection(one.o, &taker{})
			one.leave(c)
			assert.Zero(t, signalled(c, second))
			c.mailbox.Schedule()
			for now := 2 * second; now <= 100*second; now += second {
				assert.Zero(t, signalledAsItIs(c, now))
			}
			c.paused.Store(true)
			assert.Zero(t, signalled(c, 101*second), "the work ended at some time before this look")
			assert.Zero(t, signalled(c, one.at-1))
			assert.Equal(t, one.want, signalled(c, one.at))
		})
	}
}
