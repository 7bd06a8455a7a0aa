package tcpactor_test

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"

	tcpactor "github.com/go-berth/berth/actor"
)

func TestAnEventIsHeardIfThereIsAnotherSubscriberThanTheActorSystem(t *testing.T) {
	for _, system := range []*actor.ActorSystem{newSystem(), tcpactor.NewSystem(), actor.NewActorSystem(actor.WithDeadLetterThrottleCount(0))} {
		assert.EqualValues(t, 3, system.EventStream.Length(), "its own")
		assert.False(t, tcpactor.Heard(system))
		subscription := system.EventStream.Subscribe(func(any) {})
		assert.True(t, tcpactor.Heard(system))
		system.EventStream.Unsubscribe(subscription)
		assert.False(t, tcpactor.Heard(system))
	}
}
