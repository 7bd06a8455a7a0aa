package storm

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/report"
)

// answers counts the answers to the sender of writes.
type answers struct{ written, failed atomic.Int64 }

// Receive implements actor.Actor.
func (a *answers) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *berth.Written:
		a.written.Add(1)
	case *berth.WriteFailed:
		a.failed.Add(1)
	}
}

func (a *answers) count() int { return int(a.written.Load() + a.failed.Load()) }

// S9: writes for a peer that does not read. Each is answered; a write that is not accepted takes no
// memory.
func TestEveryWriteToAStalledPeerIsAnsweredAndMemoryStaysFlat(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began, writes := time.Now(), of(1_000_000)
		sockets := make(chan berth.Socket, 1)
		l, system := listen(t, factoryOf(handler{accepted: func(s berth.Socket) error { sockets <- s; return nil }}), berth.Options{
			Transport: transport, SendBufferSize: 4 << 10,
		})
		peer := dial(t, l)
		defer peer.Close()
		require.NoError(t, peer.SetReadBuffer(4<<10))
		socket := <-sockets

		told := &answers{}
		sender := system.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return told }))
		before, most := heap(), uint64(0)
		data := make([]byte, 1000)
		for i := range writes {
			system.Root.RequestWithCustomSender(socket.PID(), &berth.Write{Data: data, Ack: i}, sender)
			if sent := i + 1; sent%1000 == 0 { // a mailbox has no limit: a sender of a million messages looks at the answers now and then
				require.Eventually(t, func() bool { return told.count() >= sent-queued }, patience, 100*time.Microsecond)
			}
			if i%(writes/10+1) == 0 {
				most = max(most, heap())
			}
		}
		socket.Abort()
		require.Eventually(t, func() bool { return told.count() == writes }, patience, time.Millisecond, "every write is answered")
		grown := int64(most) - int64(before)
		tell(t, report.Row{ID: "S9", Holds: "G5 G13", Figures: map[string]any{
			"writes": writes, "written": told.written.Load(), "failed": told.failed.Load(), "heap grown by": grown,
		}}, began)
		assert.Less(t, grown, int64(4<<20))
		assert.Less(t, told.written.Load(), int64(500), "the peer reads nothing")
		require.NoError(t, system.Root.StopFuture(sender).Wait())
	})
}

// queued is how many accepted writes may wait, the default of WriteQueueSize.
const queued = 64

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
