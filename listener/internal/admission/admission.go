// Package admission decides which clients of a listener become connections: MaxConnections, the
// connections of each address, the rate of accepting, the lists of addresses, and proxies. It knows
// no sockets.
package admission

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"
)

// Rules are what an Admission decides by. They are valid: package listener makes them of its
// Options.
type Rules struct {
	Most   int  // permits: MaxConnections
	Waits  bool // a client for which there is no permit waits for one; else it is refused
	Queues bool // it waits accepted, in a queue of the caller's; else in the kernel's backlog

	PerIP              int // connections of one network; 0 or less: any number
	PrefixV4, PrefixV6 int // leading bits that make an address's network

	Rate  float64 // connections that may begin in a second; 0 or less: any number
	Burst int     // of those, at once

	Allow, Deny []netip.Prefix

	Proxied bool           // clients come through proxies
	Trusted []netip.Prefix // from where proxies connect
	AnyPeer bool           // every peer is a trusted proxy, without an address
}

// Admission keeps the permits of a listener. All that it counts is under one lock, so that a client
// takes everything it needs or nothing.
//
// An acceptor asks twice. Before the accept it calls Room, so that clients that are to wait stay in
// the kernel's backlog. After the accept it calls Admit, which takes the client's permits. A permit
// that was free before may be gone then: another acceptor took it, or the rules were changed. Such
// a client is held, as if it were still in the backlog. So a failed accept has no permit to give
// back.
//
// Any goroutine may call its methods.
type Admission struct {
	notify  func()
	refused func(client net.Addr, why protocol.Refusal) error

	mu      sync.Mutex
	waits   bool
	queues  bool
	limiter limiter
	perIP   perIP
	pace    pace
	allow   prefixes
	deny    prefixes
	proxied bool
	trusted prefixes
	anyPeer bool
	counted connection.Permit // of clients that are not counted by address

	hungry bool          // room was asked for when there was none
	wake   chan struct{} // closed, and made anew, when there may be room again
	timer  *time.Timer   // runs while a client waits for the pace
	shut   bool
}

// New returns an Admission with all permits free. It calls notify when there may be room again, and
// refused for a client behind a proxy that was admitted and must go when its address is known; the
// connection ends with the error of refused. It calls both without its lock, on any goroutine.
func New(rules Rules, notify func(), refused func(client net.Addr, why protocol.Refusal) error) *Admission {
	a := &Admission{notify: notify, refused: refused, wake: make(chan struct{})}
	a.counted.Leave = func() { a.leave(nil) }
	a.Set(rules)
	return a
}

// Set puts rules in force, for clients that are admitted from now on.
func (a *Admission) Set(r Rules) {
	allow, deny, trusted := newPrefixes(r.Allow), newPrefixes(r.Deny), newPrefixes(r.Trusted)
	a.mu.Lock()
	a.waits, a.queues = r.Waits, r.Waits && r.Queues
	a.limiter.most = r.Most
	a.perIP.most, a.perIP.v4, a.perIP.v6 = r.PerIP, r.PrefixV4, r.PrefixV6
	a.pace.set(r.Rate, r.Burst)
	a.allow, a.deny = allow, deny
	a.proxied, a.trusted, a.anyPeer = r.Proxied, trusted, r.AnyPeer
	a.stopTimerLocked()
	a.feedAndUnlock()
}

// State is what is taken.
type State struct {
	Permits  int  // taken
	Networks int  // with a connection that is counted by its address
	Paced    bool // a client waits for the rate
}

// State returns what is taken now.
func (a *Admission) State() State {
	a.mu.Lock()
	defer a.mu.Unlock()
	return State{Permits: a.limiter.used, Networks: len(a.perIP.entries), Paced: a.timer != nil}
}

// Room reports whether the next client may be accepted. It may be always where clients wait in a
// queue. Otherwise wake is closed, and notify is called, when it is worth asking again.
func (a *Admission) Room() (free bool, wake <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.waits || a.queues {
		return true, nil
	}
	if !a.limiter.free() {
		a.hungry = true
		return false, a.wake
	}
	if a.pace.wait() > 0 {
		a.awaitPaceLocked()
		return false, a.wake
	}
	return true, nil
}

// Await waits for room. It returns false if stop or Close comes first.
func (a *Admission) Await(stop <-chan struct{}) bool {
	for {
		free, wake := a.Room()
		if free {
			return true
		}
		if a.closed() {
			return false
		}
		wait := seam.Wait()
		select {
		case <-wake:
			wait.Over()
		case <-stop:
			wait.Over()
			return false
		}
	}
}

// Admit takes the permits of an accepted client. A client with neither a permit nor a refusal is to
// be held until there is room.
func (a *Admission) Admit(ip netip.Addr) (*connection.Permit, protocol.Refusal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch refusal := a.judgePeerLocked(ip); {
	case refusal != protocol.RefusalNone:
		return nil, refusal
	case !a.limiter.free() && !a.waits:
		return nil, protocol.RefusalFull
	case !a.limiter.free():
		a.hungry = true
		return nil, protocol.RefusalNone
	case a.pace.take():
	case !a.waits:
		return nil, protocol.RefusalRate
	default:
		a.awaitPaceLocked()
		return nil, protocol.RefusalNone
	}
	a.limiter.take()
	if a.proxied {
		return newProxied(a), protocol.RefusalNone
	}
	prefix := a.perIP.prefix(ip)
	if !prefix.IsValid() {
		return &a.counted, protocol.RefusalNone
	}
	entry := a.perIP.enter(prefix)
	if entry.permit.Leave == nil {
		entry.permit.Leave = func() { a.leave(entry) }
	}
	return &entry.permit, protocol.RefusalNone
}

// Refusal returns why a client is turned away even if permits are free, RefusalNone if it is not.
func (a *Admission) Refusal(ip netip.Addr) protocol.Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.judgePeerLocked(ip)
}

// ShortOf returns what clients wait for.
func (a *Admission) ShortOf() protocol.Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limiter.free() && a.pace.wait() > 0 {
		return protocol.RefusalRate
	}
	return protocol.RefusalFull
}

// judgePeerLocked judges the peer of a new connection: the client, or a proxy in its name.
func (a *Admission) judgePeerLocked(ip netip.Addr) protocol.Refusal {
	switch {
	case !a.proxied:
		return a.judgeLocked(ip)
	case !a.anyPeer && !a.trusted.contain(ip):
		return protocol.RefusalUntrusted
	}
	return protocol.RefusalNone
}

// judgeLocked judges a client by its address.
func (a *Admission) judgeLocked(ip netip.Addr) protocol.Refusal {
	switch {
	case a.deny.contain(ip), !a.allow.empty() && !a.allow.contain(ip):
		return protocol.RefusalDenied
	case a.perIP.full(a.perIP.prefix(ip)):
		return protocol.RefusalPerIP
	}
	return protocol.RefusalNone
}

// leave gives back what admit took. entry is nil for a client that is not counted by address.
func (a *Admission) leave(entry *perIPEntry) {
	a.mu.Lock()
	a.limiter.give()
	if entry != nil {
		a.perIP.leave(entry)
	}
	a.feedAndUnlock()
}

// awaitPaceLocked starts a timer, if none runs, that calls feedAndUnlock when the rate allows the
// next client.
func (a *Admission) awaitPaceLocked() {
	a.hungry = true
	if a.timer != nil || a.shut {
		return
	}
	var timer *time.Timer
	timer = seam.AfterFunc(a.pace.wait(), func() {
		a.mu.Lock()
		if a.timer == timer { // not one that was stopped too late
			a.timer = nil
		}
		a.feedAndUnlock()
	})
	a.timer = timer
}

// feedAndUnlock tells the acceptors and the queue that there may be room, if room was asked for
// before. It releases the lock.
func (a *Admission) feedAndUnlock() {
	hungry := a.hungry
	if hungry {
		a.hungry = false
		close(a.wake)
		a.wake = make(chan struct{})
	}
	a.mu.Unlock()
	if hungry {
		a.notify()
	}
}

func (a *Admission) stopTimerLocked() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

// Close wakes the acceptors that wait for room. No timer runs from now on. A free permit can still
// be taken.
func (a *Admission) Close() {
	a.mu.Lock()
	a.shut = true
	a.stopTimerLocked()
	a.feedAndUnlock()
}

func (a *Admission) closed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shut
}
