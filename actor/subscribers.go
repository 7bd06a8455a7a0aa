package tcpactor

import "github.com/asynkron/protoactor-go/actor"

// ownSubscriptions is how many subscriptions to its event stream every actor system makes itself:
// two for dead letters, one for supervision. They ignore all other events. A test checks the
// number.
const ownSubscriptions = 3

// Heard reports whether the system's event stream may have a subscriber to events of other kinds
// than Proto.Actor's own. If it has none, an event need not be made. Any goroutine may call it.
func Heard(system *actor.ActorSystem) bool { return system.EventStream.Length() > ownSubscriptions }
