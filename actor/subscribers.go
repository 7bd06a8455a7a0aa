package tcpactor

import (
	"maps"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"weak"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"
)

// ownSubscriptions is how many subscriptions to its event stream every actor system makes itself:
// two for dead letters, one for supervision. They ignore all other events. A test checks the
// number.
const ownSubscriptions = 3

// Heard reports whether the system's event stream may have a subscriber to an event, given by a
// value of its type; it is of another kind than Proto.Actor's own. If it has none, the event need
// not be made. Any goroutine may call it.
func Heard(system *actor.ActorSystem, event any) bool {
	for others(system) > 0 {
		all := choosersOf(system)
		choosy := active(all)
		if others(system) > choosy {
			return true
		}
		if active(all) < choosy {
			continue // one has left meanwhile, and another subscriber may have been taken for it
		}
		return slices.ContainsFunc(all, func(c *chooser) bool { return c.IsActive() && c.hears(event) })
	}
	return false
}

// others returns how many subscriptions there are besides the system's own.
func others(system *actor.ActorSystem) int {
	return int(system.EventStream.Length()) - ownSubscriptions
}

// Subscribe subscribes f to those events of the system's event stream that hears chooses. For the
// others it is no subscriber, see Heard. hears gets an event, or a nil pointer of its type; any
// goroutine may call it, and it must not wait. The subscription ends by the event stream's
// Unsubscribe.
func Subscribe(system *actor.ActorSystem, hears func(event any) bool, f func(event any)) *eventstream.Subscription {
	s := system.EventStream.Subscribe(func(event any) {
		if hears(event) {
			f(event)
		}
	})
	key := weak.Make(system)
	change(func(of map[weak.Pointer[actor.ActorSystem]][]*chooser) {
		before, more := of[key]
		if !more {
			runtime.AddCleanup(system, forget, key)
		}
		left := slices.DeleteFunc(slices.Clone(before), func(c *chooser) bool { return !c.IsActive() })
		of[key] = append(left, &chooser{s, hears})
	})
	return s
}

// chooser is a subscriber to some events only.
type chooser struct {
	*eventstream.Subscription
	hears func(event any) bool
}

// choosers are those of every actor system that has any, also some that have ended. The map and its
// slices are never changed, but replaced. It keeps no system.
var (
	choosers atomic.Pointer[map[weak.Pointer[actor.ActorSystem]][]*chooser]
	changing sync.Mutex
)

// change replaces choosers by a changed copy.
func change(how func(of map[weak.Pointer[actor.ActorSystem]][]*chooser)) {
	changing.Lock()
	defer changing.Unlock()
	of := map[weak.Pointer[actor.ActorSystem]][]*chooser{}
	if before := choosers.Load(); before != nil {
		of = maps.Clone(*before)
	}
	how(of)
	choosers.Store(&of)
}

func forget(system weak.Pointer[actor.ActorSystem]) {
	change(func(of map[weak.Pointer[actor.ActorSystem]][]*chooser) { delete(of, system) })
}

func choosersOf(system *actor.ActorSystem) []*chooser {
	of := choosers.Load()
	if of == nil {
		return nil
	}
	return (*of)[weak.Make(system)]
}

// active counts those whose subscription has not ended.
func active(all []*chooser) (n int) {
	for _, c := range all {
		if c.IsActive() {
			n++
		}
	}
	return n
}
