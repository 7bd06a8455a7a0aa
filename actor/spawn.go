package tcpactor

import "github.com/asynkron/protoactor-go/actor"

// SpawnLight spawns a child of parent without entering it in the parent's child set, which costs
// 860 bytes per child and is never given back below its high-water mark. The parent gets the
// child's failures and Terminated as usual. The spawner must stop the child together with the
// parent. The parent is an actor's context, on its turn, or a LightParent. The id is one of NewIDs.
func SpawnLight(parent actor.SpawnerContext, id string, props *actor.Props) (*actor.PID, error) {
	return actor.DefaultSpawner(parent.ActorSystem(), id, props, parent)
}

// LightParent makes pid a parent for SpawnLight. Any goroutine may use it.
func LightParent(system *actor.ActorSystem, pid *actor.PID) actor.SpawnerContext {
	return lightParent{system.Root, pid}
}

type lightParent struct {
	actor.SpawnerContext
	pid *actor.PID
}

func (p lightParent) Self() *actor.PID { return p.pid }

// NewIDs returns an id for a child of parent that no actor has ever had, and the id of that child's
// own child of the given name. They share their memory.
func NewIDs(parent actor.SpawnerContext, name string) (child, grandchild string) {
	grandchild = parent.Self().Id + "/" + parent.ActorSystem().ProcessRegistry.NextId() + "/" + name
	return grandchild[:len(grandchild)-len(name)-1], grandchild
}

// Adopt returns props for a spawn that starts no actor: it enters the running actor pid in the
// spawning actor's child set, so that the parent's stop waits for the child's.
func Adopt(pid *actor.PID) *actor.Props {
	return actor.PropsFromFunc(func(actor.Context) {}, actor.WithSpawnFunc(
		func(*actor.ActorSystem, string, *actor.Props, actor.SpawnerContext) (*actor.PID, error) {
			return pid, nil
		}))
}
