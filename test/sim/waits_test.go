package sim

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/go-berth/berth/test/history"
)

// waits are the writes that wait, outside of handlers: each has a goroutine. The helpers of a world
// join them; they end with their connections at the latest.
type waits struct {
	mu      sync.Mutex
	begun   int
	cancels []context.CancelFunc // of those under way
}

const (
	mostWaits   = 4          // at a time
	firstWaiter = driver + 9 // the issuers of writes that wait
)

// begin returns the context of a write that is to wait, and its number. It returns false if there
// are enough.
func (ws *waits) begin(ctx context.Context) (_ context.Context, number int, ok bool) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.cancels) == mostWaits {
		return nil, 0, false
	}
	ctx, cancel := context.WithCancel(ctx)
	ws.begun++
	ws.cancels = append(ws.cancels, cancel)
	return ctx, ws.begun, true
}

// cancel cancels a write that has begun, perhaps one that has ended.
func (ws *waits) cancel(rng *rand.Rand) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if len(ws.cancels) > 0 {
		i := rng.IntN(len(ws.cancels))
		ws.cancels[i]()
		ws.cancels = slices.Delete(ws.cancels, i, i+1)
	}
}

// wait writes to a connection on a goroutine of its own, and waits as long as needed.
func (w *world) wait(rng *rand.Rand, socket *history.Socket) {
	ctx, end := w.limited(rng)
	ctx, number, ok := w.waits.begin(ctx)
	if !ok {
		end()
		return
	}
	data, copied := w.long(rng), rng.IntN(4) == 0
	socket = socket.As(firstWaiter + number)
	spawn(&w.helpers, func() {
		defer end()
		writeWaiting(ctx, socket, data, copied)
	})
}

func (w *world) cancel(rng *rand.Rand) { w.waits.cancel(rng) }

// waitInside is a write that waits in a handler call. It waits for ever only if handlers may block.
func (w *world) waitInside(rng *rand.Rand, socket *history.Socket) {
	ctx, end := w.limited(rng)
	defer end()
	if !w.plan.slow {
		short, end := context.WithTimeout(ctx, w.ground.patience())
		defer end()
		ctx = short
	}
	writeWaiting(ctx, socket, w.long(rng), rng.IntN(4) == 0)
}

// limited returns a context: one without an end, one that is done already, or one that ends after a
// while.
func (w *world) limited(rng *rand.Rand) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	switch rng.IntN(8) {
	case 0:
		cancel()
	case 1, 2, 3:
	default:
		cancel()
		return context.WithTimeout(context.Background(), time.Duration(rng.Int64N(int64(w.ground.patience()))))
	}
	return ctx, cancel
}

// long returns bytes to write: often more than fit the queue at once.
func (w *world) long(rng *rand.Rand) []byte {
	limit := w.plan.listener.Connection.WithDefaults().WriteBufferSize
	return text(rng, (1+rng.IntN(3))*w.size(rng, limit, 0))
}

func writeWaiting(ctx context.Context, socket *history.Socket, data []byte, copied bool) {
	if copied {
		_, _ = io.Copy(socket.Writer(ctx), bytes.NewReader(data))
	} else {
		_, _ = socket.WriteContext(ctx, data)
	}
}
