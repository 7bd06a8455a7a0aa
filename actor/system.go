package tcpactor

import (
	"strconv"

	"github.com/asynkron/protoactor-go/actor"
	cmap "github.com/orcaman/concurrent-map"
)

// NewSystem is actor.NewActorSystem with a process registry fit for many short-lived actors. The
// stock one is 32,768 small maps: 2.8 MB that every collection scans, 150 bytes for an entry, and a
// cache miss or two for each look-up; this one is 512.
//
// Berth runs on any actor system. This one is the choice if nothing asks for another. A running
// system's registry must not be replaced.
//
// On 32-bit platforms it is the only one that works: the stock registry takes a hash for an index,
// and half of the names panic there.
func NewSystem(options ...actor.ConfigOption) *actor.ActorSystem {
	system := actor.NewActorSystem(options...)
	old := system.ProcessRegistry.LocalPIDs
	compact := &actor.SliceMap{LocalPIDs: make([]cmap.ConcurrentMap, registryMaps())}
	for i := range compact.LocalPIDs {
		compact.LocalPIDs[i] = cmap.New()
	}
	for _, bucket := range old.LocalPIDs { // the existing entries are the system's own: the dead letters, the event stream
		bucket.IterCb(func(id string, process any) { compact.GetBucket(id).Set(id, process) })
	}
	system.ProcessRegistry.LocalPIDs = compact
	return system
}

// registryMaps is how many maps of 32 shards each the registry has. From 1 to 64 an entry costs the
// same, about 60 bytes at 10,000 connections; with 16 the shards' locks rarely meet.
//
// With one map the index is always 0, even if an int has 32 bits and Proto.Actor makes a negative
// number of the name's hash.
func registryMaps() int {
	if strconv.IntSize < 64 {
		return 1
	}
	return 16
}
