package listener

import (
	"errors"
	"strconv"

	"github.com/asynkron/protoactor-go/actor"
)

var errWordSize = errors.New("berth: on 32-bit platforms Proto.Actor's own actor system fails for half of all actors: make one with tcpactor.NewSystem")

// checkSystem refuses an actor system that cannot work: one whose registry is several maps, if an
// int has 32 bits.
func checkSystem(system *actor.ActorSystem) error {
	if strconv.IntSize < 64 && len(system.ProcessRegistry.LocalPIDs.LocalPIDs) > 1 {
		return errWordSize
	}
	return nil
}
