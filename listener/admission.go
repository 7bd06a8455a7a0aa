package listener

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// admission decides which clients become connections. All that it counts is under one lock, so that
// a client takes everything it needs or nothing.
//
// An acceptor asks twice. Before the accept it calls room, so that clients that are to wait stay in
// the kernel's backlog. After the accept it calls admit, which takes the client's permits. A permit
// that was free before may be gone then: another acceptor took it, or the options were changed.
// Such a client is held, as if it were still in the backlog. So a failed accept has no permit to
// give back.
//
// Any goroutine may call its methods.
type admission struct {
	addr    net.Addr                                    // the listener's
	notify  func()                                      // there may be room again; called without the lock
	refused func(client net.Addr, why protocol.Refusal) // an admitted client was turned away; likewise

	mu      sync.Mutex
	waits   bool // WhenFull is Wait
	patient bool // and there is a MaxWait: clients are accepted, and wait in a queue
	limiter limiter
	perIP   perIP
	pace    pace
	allow   prefixes
	deny    prefixes
	proxies proxies
	counted connection.Permit // of clients that are not counted by address

	hungry bool          // room was asked for when there was none
	wake   chan struct{} // closed, and made anew, when there may be room again
	timer  *time.Timer   // runs while a client waits for the pace
	shut   bool
}

func newAdmission(o *Options, addr net.Addr, notify func(), refused func(net.Addr, protocol.Refusal)) *admission {
	a := &admission{addr: addr, notify: notify, refused: refused, wake: make(chan struct{})}
	a.counted.Leave = func() { a.leave(nil) }
	a.set(o)
	return a
}

// set puts options in force for clients that are admitted from now on. The options are valid and
// have their defaults.
func (a *admission) set(o *Options) {
	allow, deny, proxies := newPrefixes(o.Allow), newPrefixes(o.Deny), newProxies(&o.ProxyProtocol, a.addr)
	a.mu.Lock()
	a.waits = o.WhenFull == Wait
	a.patient = a.waits && o.MaxWait > 0
	a.limiter.most = o.MaxConnections
	a.perIP.most, a.perIP.v4, a.perIP.v6 = o.MaxConnectionsPerIP, o.PerIPPrefixV4, o.PerIPPrefixV6
	a.pace.set(o.AcceptRate, o.AcceptBurst)
	a.allow, a.deny, a.proxies = allow, deny, proxies
	a.stopTimer()
	a.feedAndUnlock()
}

// room reports whether the next client may be accepted. With a MaxWait it may be, even if it must
// wait then. Otherwise wake is closed, and notify is called, when it is worth asking again.
func (a *admission) room() (free bool, wake <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.waits || a.patient {
		return true, nil
	}
	if !a.limiter.free() {
		a.hungry = true
		return false, a.wake
	}
	if a.pace.wait() > 0 {
		a.awaitPace()
		return false, a.wake
	}
	return true, nil
}

// await waits for room; false if stop or close comes first.
func (a *admission) await(stop <-chan struct{}) bool {
	for {
		free, wake := a.room()
		if free {
			return true
		}
		if a.closed() {
			return false
		}
		select {
		case <-wake:
		case <-stop:
			return false
		}
	}
}

// admit takes the permits of an accepted client. A client with neither a permit nor a refusal is to
// be held until there is room.
func (a *admission) admit(ip netip.Addr) (*connection.Permit, protocol.Refusal) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch refusal := a.judgePeer(ip); {
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
		a.awaitPace()
		return nil, protocol.RefusalNone
	}
	a.limiter.take()
	if a.proxies.expected {
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

// refusal returns why a client is turned away even if permits are free, RefusalNone if it is not.
func (a *admission) refusal(ip netip.Addr) protocol.Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.judgePeer(ip)
}

// shortOf returns what clients wait for.
func (a *admission) shortOf() protocol.Refusal {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limiter.free() && a.pace.wait() > 0 {
		return protocol.RefusalRate
	}
	return protocol.RefusalFull
}

// judgePeer judges the peer of a new connection: the client, or a proxy in its name.
func (a *admission) judgePeer(ip netip.Addr) protocol.Refusal {
	switch {
	case !a.proxies.expected:
		return a.judge(ip)
	case !a.proxies.trust(ip):
		return protocol.RefusalUntrusted
	}
	return protocol.RefusalNone
}

// judge judges a client by its address.
func (a *admission) judge(ip netip.Addr) protocol.Refusal {
	switch {
	case a.deny.contain(ip), !a.allow.empty() && !a.allow.contain(ip):
		return protocol.RefusalDenied
	case a.perIP.full(a.perIP.prefix(ip)):
		return protocol.RefusalPerIP
	}
	return protocol.RefusalNone
}

// leave gives back what admit took. entry is nil for a client that is not counted by address.
func (a *admission) leave(entry *perIPEntry) {
	a.mu.Lock()
	a.limiter.give()
	if entry != nil {
		a.perIP.leave(entry)
	}
	a.feedAndUnlock()
}

// awaitPace starts a timer, if none runs, that calls feedAndUnlock when the rate allows the next
// client.
func (a *admission) awaitPace() {
	a.hungry = true
	if a.timer != nil || a.shut {
		return
	}
	var timer *time.Timer
	timer = time.AfterFunc(a.pace.wait(), func() {
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
func (a *admission) feedAndUnlock() {
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

func (a *admission) stopTimer() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

// close wakes the acceptors that wait for room. No timer runs from now on. A free permit can still
// be taken.
func (a *admission) close() {
	a.mu.Lock()
	a.shut = true
	a.stopTimer()
	a.feedAndUnlock()
}

func (a *admission) closed() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.shut
}
