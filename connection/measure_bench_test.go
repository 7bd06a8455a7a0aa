package connection

import (
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// BenchmarkMeasure measures what Measure adds to a call.
func BenchmarkMeasure(b *testing.B) {
	nothing := tcpactor.HandlerFunc(func(protocol.Socket, *protocol.Buffer) error { return nil })
	through := func(next tcpactor.Receiver) tcpactor.Receiver {
		return tcpactor.ReceiverFunc(func(ctx actor.Context, message any) error { return next.Receive(ctx, message) })
	}
	for name, factory := range map[string]tcpactor.Factory{
		"plain":    nothing,
		"wrapped":  tcpactor.Wrap(nothing, through),
		"measured": Measure(nothing, func(time.Duration) {}),
	} {
		b.Run(name, func(b *testing.B) {
			receiver, data := factory.Open(), &protocol.Data{Buffer: new(protocol.Buffer)}
			b.ReportAllocs()
			for b.Loop() {
				_ = receiver.Receive(nil, data)
			}
		})
	}
}
