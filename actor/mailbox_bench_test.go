package tcpactor

import (
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
)

// bare is an actor that does nothing. Its mailbox runs a turn when the benchmark asks for it.
type bare struct{ turn turn }

func (*bare) Pull() any                { return nil }
func (*bare) Drop(any)                 {}
func (*bare) InvokeUserMessage(any)    {}
func (*bare) InvokeSystemMessage(any)  {}
func (*bare) EscalateFailure(_, _ any) {}
func (*bare) Throughput() int          { return 300 }
func (b *bare) schedule(t turn)        { b.turn = t }
func (b *bare) Schedule(func())        {}

var _ actor.Dispatcher = (*bare)(nil)

// BenchmarkMailbox measures a turn of an actor in which a number of messages are posted and
// handled.
func BenchmarkMailbox(b *testing.B) {
	for _, mail := range []int{0, 1, 2, 16} {
		b.Run(fmt.Sprintf("%d messages", mail), func(b *testing.B) {
			var m Mailbox
			var s bare
			m.Init(&s)
			m.RegisterHandlers(&s, &s)
			m.Start()
			message := new(int)
			b.ReportAllocs()
			for b.Loop() {
				if mail == 0 {
					m.Schedule()
				}
				for range mail {
					m.PostUserMessage(message)
				}
				s.turn.run()
			}
		})
	}
	b.Run("1 system message", func(b *testing.B) {
		var m Mailbox
		var s bare
		m.Init(&s)
		m.RegisterHandlers(&s, &s)
		m.Start()
		b.ReportAllocs()
		for b.Loop() {
			m.PostSystemMessage(stop)
			s.turn.run()
		}
	})
}

var stop = &actor.Stop{}
