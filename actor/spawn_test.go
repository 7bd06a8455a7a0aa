package tcpactor_test

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
)

// family is a parent that reports which of its children ended, and what it was asked for.
func family(t *testing.T, system *actor.ActorSystem) (parent *actor.PID, ended chan *actor.PID, children func() int) {
	ended = make(chan *actor.PID, 10)
	counts := make(chan int)
	stopping := actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })
	parent = system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Terminated:
			ended <- m.Who
		case string:
			counts <- len(ctx.Children())
		case func(actor.Context):
			m(ctx)
		}
	}, actor.WithSupervisor(stopping)))
	return parent, ended, func() int {
		system.Root.Send(parent, "children")
		return receive(t, counts)
	}
}

func spawnLight(system *actor.ActorSystem, parent *actor.PID, props *actor.Props) (*actor.PID, error) {
	light := tcpactor.LightParent(system, parent)
	id, _ := tcpactor.NewIDs(light, "none")
	return tcpactor.SpawnLight(light, id, props)
}

func TestALightChildIsNotInItsParentsChildSetButItsEndComesToTheParent(t *testing.T) {
	system := newSystem()
	parent, ended, children := family(t, system)
	defer stop(t, system, parent)
	child, err := spawnLight(system, parent, actor.PropsFromFunc(func(actor.Context) {}))
	require.NoError(t, err)
	assert.Contains(t, child.Id, parent.Id+"/", "its name says whose it is")
	assert.Zero(t, children())
	system.Root.Stop(child)
	assert.True(t, child.Equal(receive(t, ended)))
}

func TestALightChildsFailureIsItsParentsToDecide(t *testing.T) {
	system := newSystem()
	parent, ended, _ := family(t, system)
	defer stop(t, system, parent)
	child, err := spawnLight(system, parent, actor.PropsFromFunc(func(ctx actor.Context) {
		if ctx.Message() == "fail" {
			panic("as told")
		}
	}))
	require.NoError(t, err)
	system.Root.Send(child, "fail")
	assert.True(t, child.Equal(receive(t, ended)), "the parent's strategy stopped it")
}

func TestTwoLightChildrenHaveTwoNames(t *testing.T) {
	system := newSystem()
	parent, ended, _ := family(t, system)
	defer stop(t, system, parent)
	nothing := actor.PropsFromFunc(func(actor.Context) {})
	one, err := spawnLight(system, parent, nothing)
	require.NoError(t, err)
	two, err := spawnLight(system, parent, nothing)
	require.NoError(t, err)
	assert.NotEqual(t, one.Id, two.Id)
	system.Root.Stop(one)
	system.Root.Stop(two)
	receive(t, ended)
	receive(t, ended)
}

func TestALightChildSpawnsOneOfItsOwnUnderTheIdThatWasMadeForIt(t *testing.T) {
	system := newSystem()
	parent, ended, _ := family(t, system)
	defer stop(t, system, parent)
	light := tcpactor.LightParent(system, parent)
	id, below := tcpactor.NewIDs(light, "writer")
	assert.Equal(t, id+"/writer", below)
	spawned, told := make(chan *actor.PID, 1), make(chan *actor.PID, 1)
	child, err := tcpactor.SpawnLight(light, id, actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started:
			own, _ := tcpactor.SpawnLight(ctx, below, actor.PropsFromFunc(func(actor.Context) {}))
			spawned <- own
		case *actor.Terminated:
			told <- m.Who
		}
	}))
	require.NoError(t, err)
	assert.Equal(t, id, child.Id)
	own := receive(t, spawned)
	assert.Equal(t, below, own.Id)
	system.Root.Stop(own)
	assert.True(t, own.Equal(receive(t, told)), "its end comes to its parent")
	system.Root.Stop(child)
	receive(t, ended)
}

func TestAnActorThatAdoptsAnotherWaitsForItsEnd(t *testing.T) {
	system := newSystem()
	parent, _, children := family(t, system)
	ending, release := make(chan struct{}), make(chan struct{})
	child, err := spawnLight(system, parent, actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Stopping); ok {
			close(ending)
			<-release
		}
	}))
	require.NoError(t, err)
	system.Root.Send(parent, func(ctx actor.Context) { ctx.Spawn(tcpactor.Adopt(child)) })
	assert.Equal(t, 1, children())

	stopped := system.Root.StopFuture(parent)
	receive(t, ending) // the parent's stop reached the adopted one
	_, there := system.ProcessRegistry.GetLocal(parent.Id)
	assert.True(t, there, "the parent waits for its child")
	close(release)
	require.NoError(t, stopped.Wait())
}
