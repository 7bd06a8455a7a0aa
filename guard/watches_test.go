package guard_test

import (
	"log/slog"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/go-berth/berth/guard"
)

// together makes one frame of several: their messages, in order.
func together(batches ...*remote.MessageBatch) *remote.MessageBatch {
	all := &remote.MessageBatch{}
	for _, b := range batches {
		types, targets := int32(len(all.TypeNames)), int32(len(all.Targets))
		all.TypeNames, all.Targets = append(all.TypeNames, b.TypeNames...), append(all.Targets, b.Targets...)
		for _, e := range b.Envelopes {
			e.TypeId, e.Target = e.TypeId+types, e.Target+targets
			all.Envelopes = append(all.Envelopes, e)
		}
	}
	return all
}

// lonely returns a system without a remote.
func lonely() *actor.ActorSystem {
	return actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
}

// Each message about watching that no node of good faith sends is refused and counted. The message
// behind it in the same frame arrives, and the actors notice nothing: a restart would show.
func TestForgedMessagesAboutWatchingAreRefusedAlone(t *testing.T) {
	a := newAuthority(t)
	n := newNode(t, a, guard.Options{Watches: true})
	_, config := a.node(t)
	s := stream(t, n.dial(t, config))
	here, there := n.system.Address(), "127.0.0.1:1"
	nobody := []*actor.PID{
		nil, {}, {Address: there}, {Id: "open"}, actor.NewPID(here, "open"), actor.NewPID(here, "closed"), actor.NewPID(here, "no such"),
		actor.NewPID(lonely().Address(), "closed"), // which Proto.Actor takes for one of this node
	}
	good := &durationpb.Duration{Seconds: 1}
	tried := 0
	try := func(reason guard.Reason, forged *remote.MessageBatch) {
		t.Helper()
		before := n.guard.Count(reason)
		require.NoError(t, s.Send(frame(together(forged, batch(t, n, "open", good)))))
		m, is := receive(t, n.mail).(proto.Message)
		require.True(t, is && proto.Equal(good, m), "%v", m)
		require.Equal(t, before+1, n.guard.Count(reason))
		tried++
	}
	for _, pid := range nobody {
		for _, message := range []proto.Message{&actor.Watch{Watcher: pid}, &actor.Unwatch{Watcher: pid}, &actor.Terminated{Who: pid}} {
			try(guard.BadWatch, batch(t, n, "open", message))
		}
	}
	for _, message := range []proto.Message{&actor.Watch{}, &actor.Unwatch{}, &actor.Terminated{}} {
		garbage := batch(t, n, "open", message)
		garbage.Envelopes[0].MessageData = []byte{0xff, 0xff, 0xff}
		try(guard.BadWatch, garbage)
	}
	far := actor.NewPID(there, "far")
	for _, message := range []proto.Message{&actor.Watch{Watcher: far}, &actor.Unwatch{Watcher: far}, &actor.Terminated{Who: far}} {
		try(guard.BadTarget, batch(t, n, "closed", message))
	}
	assert.Empty(t, n.mail)
	assert.Empty(t, n.other)
	assert.Zero(t, n.guard.Count(guard.Panic))
	t.Logf("forged messages about watching: %d, restarts: 0, streams ended: 0", tried)
}

// A program may let actors hear of an end that other nodes may send nothing else to.
func TestAWatcherHearsOfAnEndAndGetsNothingElse(t *testing.T) {
	a := newAuthority(t)
	n := newNode(t, a, guard.Options{Watches: true, Watcher: func(id string) bool { return id == "closed" }})
	_, config := a.node(t)
	far := newNode(t, a, guard.Options{Watches: true})
	who := actor.NewPID(far.open.Address, far.open.Id)
	b := together(
		batch(t, n, "open", &actor.Terminated{Who: who}), batch(t, n, "closed", &durationpb.Duration{}),
		batch(t, n, "closed", &actor.Watch{Watcher: who}), batch(t, n, "closed", &actor.Terminated{Who: who}))
	require.NoError(t, stream(t, n.dial(t, config)).Send(frame(b)))
	assert.Equal(t, "open", receive(t, n.other).(*actor.Terminated).Who.Id)
	assert.EqualValues(t, 3, n.guard.Count(guard.BadTarget))
	assert.Empty(t, n.mail)
}
