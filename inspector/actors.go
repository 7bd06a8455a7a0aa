package inspector

import (
	"slices"
	"strings"

	"github.com/asynkron/protoactor-go/actor"
)

// childrenOf returns the ids of an actor's children as the system's registry has them, in order.
// It looks at the id of every actor of the system: 1 ms for 20,000.
func childrenOf(system *actor.ActorSystem, parent string) (children []string) {
	prefix := parent + "/"
	for _, some := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
		some.IterCb(func(id string, _ any) {
			if name, is := strings.CutPrefix(id, prefix); is && !strings.Contains(name, "/") {
				children = append(children, id)
			}
		})
	}
	slices.Sort(children)
	return children
}

// supervised returns the ids of the actors below a supervisor: its acceptors, and the parent of its
// connections.
func supervised(system *actor.ActorSystem, supervisor string) (acceptors []string, connections string) {
	acceptors = []string{}
	for _, id := range childrenOf(system, supervisor) {
		switch name := id[len(supervisor)+1:]; {
		case strings.HasPrefix(name, "acceptor"):
			acceptors = append(acceptors, id)
		case strings.HasPrefix(name, "connections"):
			connections = id
		}
	}
	return acceptors, connections
}
