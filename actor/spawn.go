package tcpactor

import "github.com/asynkron/protoactor-go/actor"

// SpawnLight spawns an actor whose parent is the given one without being entered in the parent's child set, which costs
// 860 bytes per child and is never given back below its high-water mark. The parent gets the child's failures and
// Terminated as usual; stopping it together with the parent is the spawner's business. Any goroutine may call it.
func SpawnLight(system *actor.ActorSystem, parent *actor.PID, props *actor.Props) (*actor.PID, error) {
	id := parent.Id + "/" + system.ProcessRegistry.NextId()
	return actor.DefaultSpawner(system, id, props, lightParent{system.Root, parent})
}

// Adopt returns props whose spawn starts nothing: it enters the running actor pid in the spawning actor's child set, so that
// the parent's stop waits for the child's.
func Adopt(pid *actor.PID) *actor.Props {
	return actor.PropsFromFunc(func(actor.Context) {}, actor.WithSpawnFunc(
		func(*actor.ActorSystem, string, *actor.Props, actor.SpawnerContext) (*actor.PID, error) {
			return pid, nil
		}))
}

type lightParent struct {
	actor.SpawnerContext
	pid *actor.PID
}

func (p lightParent) Self() *actor.PID { return p.pid }
