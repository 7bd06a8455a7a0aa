package conformance

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// SlowConsumer decides what happens to a write that does not fit. A stall fills a queue of one for
// as long as the peer does not read.

func slow(policy connection.SlowPolicy) connection.Options {
	return connection.Options{WriteBufferSize: stallSize, WriteQueueSize: 1, WriteTimeout: -1, SlowConsumer: policy}
}

// forms are all ways to write three bytes. The error is the caller's.
var forms = map[string]func(t *tape, done func(error)) error{
	"Write": func(t *tape, _ func(error)) error {
		n, err := t.socket.Write([]byte("abc"))
		assert.Equal(t.w.t, err == nil, n == 3, "all or nothing")
		return err
	},
	"WriteOwned":   func(t *tape, done func(error)) error { return t.socket.WriteOwned([]byte("abc"), done) },
	"WriteBuffers": func(t *tape, done func(error)) error { return t.socket.WriteBuffers([][]byte{{'a'}, {'b', 'c'}}, done) },
	"Forward": func(t *tape, _ func(error)) error {
		b := protocol.NewBuffer([]byte("abc"))
		n, err := t.socket.Forward(b)
		assert.Equal(t.w.t, 3-n, b.Len(), "what it took is consumed")
		assert.Equal(t.w.t, err == nil, n == 3, "all or nothing")
		return err
	},
	"WriteFile": func(t *tape, done func(error)) error {
		f := t.w.file("abc")
		err := t.socket.WriteFile(f, 0, 3, done)
		at, seek := f.Seek(0, io.SeekCurrent)
		assert.NoError(t.w.t, seek)
		assert.Zero(t.w.t, at, "not read")
		return err
	},
	"Do": func(t *tape, done func(error)) error {
		t.socket.Do(&protocol.Write{Data: []byte("abc")}, done)
		return nil
	},
}

// completes are the forms that have a completion.
var completes = map[string]bool{"WriteOwned": true, "WriteBuffers": true, "WriteFile": true, "Do": true}

func eachWrite(t *testing.T, test func(t *testing.T, w *world, name string, write func(*tape, func(error)) error)) {
	for name, write := range forms {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) { test(t, w, name, write) })
		})
	}
}

func TestAWriteThatDoesNotFitIsDroppedWholeWhereThatIsThePolicy(t *testing.T) {
	eachWrite(t, func(t *testing.T, w *world, name string, write func(*tape, func(error)) error) {
		p, tape := w.serve(script{}, slow(connection.SlowDropNewest)).connect()
		tape.stall()
		for range 3 {
			require.NoError(t, write(tape, tape.done("dropped")))
			tape.book(3)
		}
		if completes[name] {
			assert.ErrorIs(t, tape.nth(3, "dropped").err, protocol.ErrDropped)
		}
		w.settle()
		assert.Equal(t, completes[name], tape.count("dropped") == 3)
		stats := tape.socket.Info().Stats
		assert.EqualValues(t, 9, stats.Dropped)
		assert.EqualValues(t, 3, stats.DroppedWrites)
		assert.Equal(t, 1, tape.socket.Info().QueuedWrites)
		_ = tape.socket.Close()
		assert.Equal(t, strings.Repeat("s", stallSize), p.rest(), "no byte of them is on the wire")
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonLocalClosed, closed.Reason)
		assert.EqualValues(t, stallSize, closed.Stats.Written)
		assert.EqualValues(t, 9, closed.Stats.Dropped)
	})
}

func TestAfterDroppedWritesTheNextOneThatFitsGoesOut(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{}, only(slow(connection.SlowDropNewest))).connect()
		tape.stall()
		require.NoError(t, tape.say("dropped"))
		p.take(stallSize)
		tape.await("stall")
		require.NoError(t, tape.write("sent", "sent"))
		p.expect("sent")
		assert.NoError(t, tape.await("sent").err)
		assert.EqualValues(t, 1, tape.socket.Info().Stats.DroppedWrites)
	})
}

func TestADroppedForwardConsumesWhatItGot(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := slow(connection.SlowDropNewest)
		o.ReadGate = connection.GateOff
		sent := pattern(5000)
		p, tape := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			if n := b.Len(); n < len(sent) {
				return nil // together they are enough for their memory to change hands
			}
			n, err := t.socket.Forward(b)
			t.book(n)
			assert.Zero(t.w.t, b.Len())
			return err
		}}, o).connect()
		tape.stall()
		p.send(sent)
		tape.until("input", func([]event) bool { return tape.socket.Info().Stats.DroppedWrites == 1 })
		tape.sees(sent)
		assert.EqualValues(t, len(sent), tape.socket.Info().Stats.Dropped)
	})
}

func TestADroppedWriteByPIDIsAnsweredIfItHasAnAck(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, slow(connection.SlowDropNewest)).connect()
		a, pid := w.asker(), tape.socket.PID()
		tape.stall()
		unasked, unsigned := []byte("not asked for"), []byte("there is no sender")
		a.send(pid, &protocol.Write{Data: unasked})
		w.system.Root.Send(pid, &protocol.Write{Data: unsigned, Ack: 1})
		assert.Equal(t, &protocol.WriteFailed{Ack: 2, Err: protocol.ErrDropped}, a.ask(pid, &protocol.Write{Data: []byte("x"), Ack: 2}))
		dropped := len(unasked) + len(unsigned) + 1
		tape.book(dropped)
		assert.EqualValues(t, 3, tape.socket.Info().Stats.DroppedWrites)
		assert.EqualValues(t, dropped, tape.socket.Info().Stats.Dropped)
		assert.Empty(t, a.answers)
		assert.Empty(t, w.deadLetters(pid))
	})
}

func TestSlowCloseEndsTheConnection(t *testing.T) {
	mostlyWaits(t)
	eachWrite(t, func(t *testing.T, w *world, name string, write func(*tape, func(error)) error) {
		o := slow(connection.SlowClose)
		o.CloseTimeout = 50 * time.Millisecond
		s := w.serve(script{}, o)
		_, other := s.connect()
		_, tape := s.connect()
		tape.stall()
		err := write(tape, tape.done("refused"))
		if name == "Do" {
			err = tape.await("refused").err
		} else {
			assert.ErrorIs(t, tape.say("x"), protocol.ErrClosed, "from now on")
		}
		assert.ErrorIs(t, err, protocol.ErrWriteQueueFull)
		closed := tape.ended() // although the peer never reads
		assert.Equal(t, protocol.ReasonSlowConsumer, closed.Reason)
		assert.ErrorIs(t, closed.Err, protocol.ErrWriteQueueFull)
		assert.ErrorIs(t, tape.await("stall").err, protocol.ErrWriteQueueFull)
		assert.Equal(t, name == "Do", tape.count("refused") == 1, "a refused write through the handle does not complete")
		assert.Positive(t, closed.Stats.Unsent)
		assert.Zero(t, closed.Stats.Dropped)
		assert.Equal(t, protocol.StateOpen, other.socket.Info().State)
	})
}

func TestASlowConsumerIsSeenInEveryForm(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		refused := make(chan struct{})
		play := script{data: func(t *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			t.stall()
			err := t.say("x")
			close(refused)
			assert.ErrorIs(t.w.t, err, protocol.ErrWriteQueueFull)
			return err // a handler that ends because of it did not end the connection
		}}
		p, tape := w.open(factory, play, only(slow(connection.SlowClose))).connect()
		p.send("go")
		<-refused // the peer must not make room before
		assert.Equal(t, strings.Repeat("s", stallSize), p.rest(), "what was accepted is flushed for a peer that reads after all")
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonSlowConsumer, closed.Reason)
		assert.ErrorIs(t, closed.Err, protocol.ErrWriteQueueFull)
		assert.Zero(t, closed.Stats.Unsent)
	})
}

func TestAWriteByPIDThatDoesNotFitIsAnsweredAndEndsTheConnection(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, slow(connection.SlowClose)).connect()
		tape.stall()
		a := w.asker()
		assert.Equal(t, &protocol.WriteFailed{Err: protocol.ErrWriteQueueFull}, a.ask(tape.socket.PID(), &protocol.Write{Data: []byte("x")}))
		assert.Len(t, p.rest(), stallSize)
		p.close()
		assert.Equal(t, protocol.ReasonSlowConsumer, tape.ended().Reason)
	})
}

func TestASlowConsumerEndsWithinItsCloseTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, slow(connection.SlowClose)).connect()
		tape.stall()
		require.Error(t, tape.say("x"))
		start := time.Now()
		closed := tape.ended()
		within(t, 5*time.Second, time.Since(start))
		assert.ErrorIs(t, closed.Err, protocol.ErrWriteQueueFull, "the limit's, not the flush's")
	})
}

// The write would not fit into an empty buffer either. That is an error of the caller, and no
// policy hides it.
func TestAWriteLargerThanTheBufferIsRefusedUnderEveryPolicy(t *testing.T) {
	for name, policy := range map[string]connection.SlowPolicy{
		"refuse": connection.SlowRefuse, "close": connection.SlowClose, "drop": connection.SlowDropNewest,
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				p, tape := w.serve(script{data: echo}, connection.Options{WriteBufferSize: 10, SlowConsumer: policy}).connect()
				assert.ErrorIs(t, tape.write("refused", "eleven bytes"), protocol.ErrWriteTooLarge)
				failed := w.asker().ask(tape.socket.PID(), &protocol.Write{Data: make([]byte, 11), Ack: 1}).(*protocol.WriteFailed)
				assert.Equal(t, 1, failed.Ack)
				assert.ErrorIs(t, failed.Err, protocol.ErrWriteTooLarge)
				p.send("still here")
				p.expect("still here")
				assert.Zero(t, tape.socket.Info().Stats.DroppedWrites)
			})
		})
	}
}

func TestDroppingIsForFullQueuesNotForEndedConnections(t *testing.T) {
	eachWrite(t, func(t *testing.T, w *world, name string, write func(*tape, func(error)) error) {
		_, tape := w.serve(script{}, slow(connection.SlowDropNewest)).connect()
		tape.stall()
		tape.socket.Abort()
		refused := make(chan error, 1)
		err := write(tape, func(err error) { refused <- err }) // a command that comes after Closed is answered after it
		if name == "Do" {
			err = <-refused
		}
		assert.ErrorIs(t, err, protocol.ErrClosed)
		assert.Empty(t, refused)
		assert.Zero(t, tape.ended().Stats.Dropped)
	})
}

// The tapes check that every accepted write completed once, before Closed, and that accepted =
// written + unsent, to the byte.
func TestDroppedWritesCompleteBeforeClosed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{WriteQueueSize: 2, WriteBufferSize: 2 * stallSize, SlowConsumer: connection.SlowDropNewest})
		var dropped atomic.Uint64
		for round := range 20 {
			_, tape := s.connect()
			tape.stall()
			w.fills(tape)
			var writers sync.WaitGroup
			for id := range 4 {
				writers.Go(func() {
					for n := 0; ; n++ {
						if err := tape.write(fmt.Sprint(id), "some bytes"); err != nil {
							assert.ErrorIs(t, err, protocol.ErrClosed)
							return
						}
						if n%16 == 0 {
							w.yield()
						}
					}
				})
			}
			for range round {
				w.yield()
			}
			// Every second round ends after a drop, however late the writer finds the kernel full.
			for round%2 == 1 && tape.socket.Info().Stats.DroppedWrites == 0 {
				w.yield()
			}
			tape.socket.Abort()
			writers.Wait()
			dropped.Add(tape.ended().Stats.DroppedWrites)
		}
		assert.Positive(t, dropped.Load())
	})
}

func TestADropInAHandlerCallDoesNotEndIt(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		said := make(chan error, 1)
		play := script{message: func(t *tape, _ actor.Context, _ any) error {
			said <- t.write("dropped", "x") // the tape checks that it does not complete inside the call
			return nil
		}}
		_, tape := w.serve(play, slow(connection.SlowDropNewest)).connect()
		tape.stall()
		w.system.Root.Send(tape.socket.PID(), "write")
		assert.NoError(t, <-said)
		assert.ErrorIs(t, tape.await("dropped").err, protocol.ErrDropped)
		assert.Equal(t, protocol.StateOpen, tape.socket.Info().State)
	})
}
