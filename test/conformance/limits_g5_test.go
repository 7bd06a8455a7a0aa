package conformance

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// G5: queued writes <= WriteQueueSize and queued bytes <= WriteBufferSize at every instant. Count
// is checked first. Two distinct errors, at once, to the caller; through a PID a WriteFailed.
// Nothing else is harmed.

func TestTheWriteQueueHoldsAsManyWritesAsItMay(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := roomy()
		o.WriteQueueSize = 4
		_, tape := w.serve(script{}, o).connect()
		tape.stall()
		for range 3 {
			require.NoError(t, tape.say("x"))
		}
		err := tape.say("x")
		assert.ErrorIs(t, err, protocol.ErrWriteQueueFull)
		assert.NotErrorIs(t, err, protocol.ErrWriteBufferFull)
		assert.Equal(t, 4, tape.socket.Info().QueuedWrites)
	})
}

func TestTheWriteBufferHoldsAsManyBytesAsItMay(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteBufferSize: 100}).connect()
		require.NoError(t, tape.write("fits", strings.Repeat("x", 100)))
		p.take(100)
		tape.await("fits")
		err := tape.say(strings.Repeat("x", 101))
		assert.ErrorIs(t, err, protocol.ErrWriteTooLarge)
		assert.ErrorContains(t, err, "101 bytes with a WriteBufferSize of 100")
		assert.NotErrorIs(t, err, protocol.ErrWriteBufferFull)
	})
}

func TestAFullWriteBufferRefusesWhatFitsWhenItIsEmpty(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{WriteBufferSize: stallSize, WriteTimeout: -1}).connect()
		tape.stall()
		err := tape.say(strings.Repeat("x", stallSize))
		assert.ErrorIs(t, err, protocol.ErrWriteBufferFull)
		assert.NotErrorIs(t, err, protocol.ErrWriteQueueFull)
	})
}

func TestTheCountIsCheckedBeforeTheBytes(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{WriteBufferSize: stallSize, WriteQueueSize: 1}).connect()
		tape.stall()
		assert.ErrorIs(t, tape.say(strings.Repeat("x", stallSize)), protocol.ErrWriteQueueFull)
	})
}

func TestAWriteLargerThanTheBufferHarmsNothing(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{data: echo}, only(connection.Options{WriteBufferSize: 10})).connect()
		n, err := tape.socket.Write(make([]byte, 11))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, protocol.ErrWriteTooLarge)
		p.send("still here")
		p.expect("still here")
	})
}

func TestARefusedWriteByPIDIsAnsweredAndHarmsNothing(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := roomy()
		o.WriteQueueSize = 2
		p, tape := w.serve(script{}, o).connect()
		a, pid := w.asker(), tape.socket.PID()
		tape.stall()
		a.send(pid, &protocol.Write{Data: []byte("fits"), Ack: "fits"})
		tape.book(4)
		assert.Equal(t, &protocol.WriteFailed{Ack: "count", Err: protocol.ErrWriteQueueFull}, a.ask(pid, &protocol.Write{Data: []byte("x"), Ack: "count"}))
		assert.Equal(t, &protocol.WriteFailed{Err: protocol.ErrWriteQueueFull}, a.ask(pid, &protocol.Write{Data: []byte("x")}), "also without Ack")
		p.take(stallSize)
		p.expect("fits")
		assert.ElementsMatch(t, []any{&protocol.Written{Ack: "fits"}, &protocol.WriteReady{PID: pid}}, []any{a.answer(), a.answer()},
			"room is told once, after two refusals")
		failed := a.ask(pid, &protocol.Write{Data: make([]byte, 2*stallSize+1), Ack: "bytes"}).(*protocol.WriteFailed)
		assert.Equal(t, "bytes", failed.Ack)
		assert.ErrorIs(t, failed.Err, protocol.ErrWriteTooLarge)
	})
}

func TestARefusedWriteNeverCompletes(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{WriteBufferSize: 3}).connect()
		require.Error(t, tape.write("refused", "four"))
		require.Error(t, tape.writeBuffers("refused too", [][]byte{[]byte("fo"), []byte("ur")}))
		w.settle() // the tape checks that neither completes
	})
}

func TestTheLimitsHoldAtEveryInstant(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		const most, bytes = 8, 5000
		p, tape := w.serve(script{}, connection.Options{WriteQueueSize: most, WriteBufferSize: bytes}).connect()
		var writers, others sync.WaitGroup
		stop := make(chan struct{})
		others.Go(func() { _, _ = io.Copy(io.Discard, p.Conn) })
		others.Go(func() {
			for {
				info := tape.socket.Info()
				if info.QueuedWrites > most || info.QueuedBytes > bytes {
					assert.Fail(t, "over the limit", "%d writes, %d bytes", info.QueuedWrites, info.QueuedBytes)
				}
				select {
				case <-stop:
					return
				default:
					w.yield()
				}
			}
		})
		for id := range 4 {
			writers.Go(func() {
				for n := range 200 {
					for tape.write(fmt.Sprint(id), strings.Repeat("x", 1+n*37%2000)) != nil {
						w.yield()
					}
				}
			})
		}
		writers.Wait()
		close(stop)
		tape.socket.Abort()
		tape.ended()
		others.Wait()
	})
}

func TestRoomIsBackWhenAWriteCompletes(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteQueueSize: 1, WriteBufferSize: 10}).connect()
		for range 50 {
			result := make(chan error, 1)
			require.NoError(t, tape.socket.WriteOwned(make([]byte, 10), func(error) { result <- tape.say("0123456789") }))
			tape.book(10)
			p.take(20)
			require.NoError(t, <-result)
			for tape.socket.Info().QueuedWrites > 0 {
				w.yield()
			}
		}
	})
}

func TestNegativeLimitsAreOff(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{WriteQueueSize: -1, WriteBufferSize: -1}).connect()
		tape.stall()
		for range 5000 {
			require.NoError(t, tape.say("a hundred bytes or so"))
		}
	})
}
