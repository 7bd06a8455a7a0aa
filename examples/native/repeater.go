package main

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/scheduler"
)

// repeater is a child of a connection's actor. It reminds its parent again and again; Proto.Actor
// stops it with the parent.
type repeater struct {
	text     string
	interval time.Duration
	cancel   scheduler.CancelFunc
}

type (
	tick   struct{}
	remind struct{ text string }
)

// Receive implements actor.Actor.
func (r *repeater) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		r.cancel = scheduler.NewTimerScheduler(ctx).SendRepeatedly(r.interval, r.interval, ctx.Self(), &tick{})
	case *tick:
		ctx.Send(ctx.Parent(), &remind{r.text})
	case *actor.Stopping:
		r.cancel()
	}
}
