package conformance

import (
	"context"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// WriteContext: a write of any length that waits for room.

// waits writes text by WriteContext and counts the accepted bytes.
func (t *tape) waits(ctx context.Context, text string) error {
	n, err := t.socket.WriteContext(ctx, []byte(text))
	t.book(n)
	return err
}

func TestAWriteThatWaitsTakesAnyLengthAnywhere(t *testing.T) {
	text := pattern(1 << 20)
	write := func(tape *tape) error { return tape.waits(context.Background(), text) }
	for where, run := range map[string]func(p *peer, tape *tape) error{
		"another goroutine": func(_ *peer, tape *tape) error { return write(tape) },
		"a handler": func(p *peer, tape *tape) error {
			p.send("go")
			return tape.await("written").err
		},
		"a completion": func(_ *peer, tape *tape) error {
			result := make(chan error, 1)
			if err := tape.socket.WriteOwned(nil, func(error) { result <- write(tape) }); err != nil {
				return err
			}
			return <-result
		},
	} {
		t.Run(where, func(t *testing.T) {
			eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
				play := script{data: func(t *tape, b *protocol.Buffer) error {
					b.Discard(b.Len())
					t.record(event{what: "written", err: write(t)})
					return nil
				}}
				p, tape := w.open(factory, play, only(connection.Options{})).connect()
				result := make(chan error, 1)
				go func() { result <- run(p, tape) }()
				same(t, text, string(p.take(len(text))))
				assert.NoError(t, <-result)
			})
		})
	}
}

func TestIOCopyWritesThroughTheWriter(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		text := pattern(1 << 20)
		p, tape := w.serve(script{}, connection.Options{}).connect()
		result := make(chan error, 1)
		go func() {
			n, err := io.Copy(tape.socket.Writer(context.Background()), strings.NewReader(text))
			tape.book(int(n))
			result <- err
		}()
		same(t, text, string(p.take(len(text))))
		assert.NoError(t, <-result)
	})
}

func TestAWriteThatWaitsEndsWithItsContext(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteTimeout: -1}).connect()
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		text := pattern(2 * stallSize)
		accepted := 0
		go func() {
			n, err := tape.socket.WriteContext(ctx, []byte(text))
			tape.book(n)
			accepted = n
			result <- err
		}()
		w.fills(tape)
		cancel()
		assert.ErrorIs(t, <-result, context.Canceled)
		assert.Less(t, accepted, len(text))
		same(t, text[:accepted], string(p.take(accepted)))
		n, err := tape.socket.WriteContext(ctx, []byte("x"))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, context.Canceled)
	})
}

func TestAWriteThatWaitsEndsWithItsConnection(t *testing.T) {
	for how, end := range map[string]func(*tape){
		"close": func(t *tape) { _ = t.socket.Close() },
		"abort": func(t *tape) { t.socket.Abort() },
	} {
		t.Run(how, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				_, tape := w.serve(script{}, connection.Options{WriteTimeout: -1, CloseTimeout: 50 * time.Millisecond, LingerTimeout: brief}).connect()
				result := make(chan error, 1)
				go func() { result <- tape.waits(context.Background(), pattern(2*stallSize)) }()
				w.fills(tape)
				end(tape)
				assert.ErrorIs(t, <-result, protocol.ErrClosed)
				tape.ended()
			})
		})
	}
}

// A handler that waits for room takes no turn of its connection: WriteTimeout ends it all the same.
func TestAHandlerThatWaitsEndsAtTheWriteTimeout(t *testing.T) {
	mostlyWaits(t)
	eachNetwork(t, func(t *testing.T, w *world) {
		play := script{data: func(t *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			t.record(event{what: "returned", err: t.waits(context.Background(), pattern(2*stallSize))})
			return nil
		}}
		p, tape := w.serve(play, connection.Options{WriteTimeout: 100 * time.Millisecond}).connect()
		p.send("go")
		assert.ErrorIs(t, tape.await("returned").err, protocol.ErrClosed)
		tape.ended()
		assert.Equal(t, protocol.ReasonWriteTimeout, tape.closed.Reason)
		assert.ErrorIs(t, tape.closed.Err, protocol.ErrWriteTimeout)
	})
}

// fills waits until the connection's queue holds bytes that the peer does not take.
func (w *world) fills(t *tape) {
	for before := uint64(0); ; w.settle() {
		info := t.socket.Info()
		if info.QueuedBytes > 0 && info.Stats.Written == before {
			return
		}
		before = info.Stats.Written
		runtime.Gosched()
	}
}

func TestWritesThatWaitDoNotMixTheirBytes(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		const writers, size = 4, 200_000
		p, tape := w.serve(script{}, connection.Options{}).connect()
		var all sync.WaitGroup
		for id := range writers {
			all.Go(func() {
				assert.NoError(t, tape.waits(context.Background(), strings.Repeat(string(rune('a'+id)), size)))
			})
		}
		got := string(p.take(writers * size))
		all.Wait()
		for part := range writers {
			one := got[part*size : (part+1)*size]
			assert.Equal(t, strings.Repeat(one[:1], size), one)
		}
	})
}

func TestAWriteThatWaitsIsNoneOfTheSlowConsumerPolicys(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{SlowConsumer: connection.SlowClose, WriteTimeout: -1}).connect()
		result := make(chan error, 1)
		text := pattern(stallSize)
		go func() { result <- tape.waits(context.Background(), text) }()
		w.fills(tape)
		same(t, text, string(p.take(len(text))))
		require.NoError(t, <-result)
		assert.Equal(t, protocol.StateOpen, tape.socket.Info().State)
	})
}

func TestAWriteThatWaitsGivesTheMemoryBudgetBack(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		text := pattern(1 << 20)
		o := only(connection.Options{})
		o.MemoryBudget = 128 << 10
		p, tape := w.listen(script{}, o).connect()
		result := make(chan error, 1)
		go func() { result <- tape.waits(context.Background(), text) }()
		same(t, text, string(p.take(len(text))))
		require.NoError(t, <-result)
	})
}
