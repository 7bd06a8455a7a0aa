package connection

import (
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// handled counts handler calls. The connection's turn writes, any goroutine reads.
type handled struct {
	calls          atomic.Uint64
	total, longest atomic.Int64
}

func (h *handled) add(d time.Duration) {
	h.calls.Store(h.calls.Load() + 1)
	h.total.Store(h.total.Load() + int64(d))
	if int64(d) > h.longest.Load() {
		h.longest.Store(int64(d))
	}
}

// times returns the counts; nil has none.
func (h *handled) times() protocol.HandlerTimes {
	if h == nil {
		return protocol.HandlerTimes{}
	}
	return protocol.HandlerTimes{
		Calls: h.calls.Load(), Total: time.Duration(h.total.Load()), Longest: time.Duration(h.longest.Load()),
	}
}

// sampleEvery is of how many calls with Data one is timed.
const sampleEvery = 16

// Measure puts a clock around the handlers that factory makes, for Info.Handler. It times one of 16
// calls with Data, the first one of each handler among them: to read the clock for each would cost
// some percent of a short call. sample, if not nil, is given each of these times on the
// connection's turn: it must not block. A call that ends by a panic counts too.
func Measure(factory tcpactor.Factory, sample func(time.Duration)) tcpactor.Factory {
	return tcpactor.Wrap(factory, func(next tcpactor.Receiver) tcpactor.Receiver {
		return &measured{next: next, handled: new(handled), sample: sample}
	})
}

type measured struct {
	next    tcpactor.Receiver
	handled *handled
	sample  func(time.Duration)
	shown   uint // calls with Data
}

// Receive implements tcpactor.Receiver.
func (m *measured) Receive(ctx actor.Context, message any) error {
	switch event := message.(type) {
	case *protocol.Data:
		m.shown++
		if m.shown%sampleEvery == 1 {
			defer m.count(time.Now())
		}
	case *protocol.Accepted:
		m.join(event.Socket)
	}
	return m.next.Receive(ctx, message)
}

// join shows the counts to the connection. A handler that comes after a panic goes on with those of
// the handler before.
func (m *measured) join(socket protocol.Socket) {
	c, ok := socket.(*Connection)
	if !ok {
		return // a test's
	}
	if r := c.makeRare(); !r.handled.CompareAndSwap(nil, m.handled) {
		m.handled = r.handled.Load()
	}
}

func (m *measured) count(began time.Time) {
	d := time.Since(began)
	m.handled.add(d)
	if m.sample != nil {
		m.sample(d)
	}
}
