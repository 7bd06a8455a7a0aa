package connection

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/internal/setup"
)

func TestOfRefusedSendersThoseStayThatMayStillBeThere(t *testing.T) {
	system := setup.System()
	registry := system.ProcessRegistry
	registry.RegisterAddressResolver(func(*actor.PID) (actor.Process, bool) { return system.DeadLetter, true }) // as with a remote
	alive := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {}))
	defer system.Root.Poison(alive)
	var s senders
	s.add(registry, alive, nil)
	const many = 100_000
	for n := range many {
		s.add(registry, actor.NewPID("elsewhere:1", fmt.Sprint(n)), nil)
		s.add(registry, actor.NewPID(registry.Address, fmt.Sprint("ended", n)), nil)
	}
	assert.Len(t, s.known, len(s.pids))
	assert.LessOrEqual(t, len(s.pids), 2*(mostForeign+1))
	assert.Equal(t, alive, s.pids[0])
	assert.Contains(t, s.known, sender{"elsewhere:1", fmt.Sprint(many - 1)})
}
