package tcpactor_test

import (
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
)

func TestAnEventIsHeardIfThereIsAnotherSubscriberThanTheActorSystem(t *testing.T) {
	for _, system := range []*actor.ActorSystem{newSystem(), tcpactor.NewSystem(), actor.NewActorSystem(actor.WithDeadLetterThrottleCount(0))} {
		assert.EqualValues(t, 3, system.EventStream.Length(), "its own")
		assert.False(t, tcpactor.Heard(system, "event"))
		subscription := system.EventStream.Subscribe(func(any) {})
		assert.True(t, tcpactor.Heard(system, "event"))
		system.EventStream.Unsubscribe(subscription)
		assert.False(t, tcpactor.Heard(system, "event"))
	}
}

func TestASubscriberMayHearSomeEventsOnly(t *testing.T) {
	system := newSystem()
	var heard []any
	hears := func(kind any) func(any) bool {
		return func(event any) bool { return reflect.TypeOf(event) == reflect.TypeOf(kind) }
	}
	note := func(event any) { heard = append(heard, event) }
	numbers := tcpactor.Subscribe(system, hears(0), note)
	words := tcpactor.Subscribe(system, hears(""), note)
	which := func() (heard []bool) {
		for _, event := range []any{1, "a", 0.5} {
			heard = append(heard, tcpactor.Heard(system, event))
		}
		return heard
	}
	assert.Equal(t, []bool{true, true, false}, which())
	all := system.EventStream.Subscribe(func(any) {})
	assert.Equal(t, []bool{true, true, true}, which())
	system.EventStream.Unsubscribe(numbers)
	assert.Equal(t, []bool{true, true, true}, which())
	system.EventStream.Unsubscribe(all)
	assert.Equal(t, []bool{false, true, false}, which())
	for _, event := range []any{1, "a", 0.5} {
		system.EventStream.Publish(event)
	}
	assert.Equal(t, []any{"a"}, heard)
	system.EventStream.Unsubscribe(words)
	assert.Equal(t, []bool{false, false, false}, which())
	assert.False(t, tcpactor.Heard(newSystem(), 1), "another system")
}

// Subscribers that come and go take no event from one that stays.
func TestASubscriberOfEverythingIsAlwaysHeardOf(t *testing.T) {
	system := newSystem()
	system.EventStream.Subscribe(func(any) {})
	none := func(any) bool { return false }
	stop := make(chan struct{})
	var coming sync.WaitGroup
	coming.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				system.EventStream.Unsubscribe(tcpactor.Subscribe(system, none, func(any) {}))
			}
		}
	})
	for range 200_000 {
		if !assert.True(t, tcpactor.Heard(system, 1)) {
			break
		}
	}
	close(stop)
	coming.Wait()
}

func TestNothingIsKeptOfAnActorSystemWithSubscribers(t *testing.T) {
	gone := make(chan struct{})
	func() {
		system := newSystem()
		runtime.AddCleanup(system, func(gone chan struct{}) { close(gone) }, gone)
		tcpactor.Subscribe(system, func(any) bool { return true }, func(any) {})
	}()
	for began := time.Now(); ; {
		runtime.GC()
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond):
			require.Less(t, time.Since(began), 20*time.Second)
		}
	}
}
