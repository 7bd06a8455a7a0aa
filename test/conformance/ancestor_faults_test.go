package conformance

import (
	"context"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/faultnet"
)

// The ancestor's faults as they were measured, spec 8. Each test is named after a fault.

func TestAnOverCapacityWriteSendsAPrefixThenThrows(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteBufferSize: 10}).connect()
		n, err := tape.socket.Write([]byte("eleven char"))
		assert.Zero(t, n)
		assert.ErrorIs(t, err, protocol.ErrWriteTooLarge)
		require.NoError(t, tape.say("ok"))
		_ = tape.socket.Close()
		assert.Equal(t, "ok", p.rest(), "and no prefix before it")
	})
}

func TestAFullBufferStallsForEver(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: leave}, connection.Options{}).connect()
		p.send(pattern(8 << 10))
		p.rest()
		p.close()
		assert.ErrorIs(t, tape.ended().Err, protocol.ErrReadBufferFull)
	})
}

func TestAWriteAfterACloseIsLostAndItsCallbackNeverRuns(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{}).connect()
		_ = tape.socket.Close()
		assert.ErrorIs(t, tape.write("late", "late"), protocol.ErrClosed)
		tape.socket.Do(&protocol.Write{Data: []byte("late")}, tape.done("late too"))
		assert.ErrorIs(t, tape.await("late too").err, protocol.ErrClosed)
	})
}

func TestACloseIsRefusedWhenTheQueueIsFull(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteQueueSize: 1, WriteBufferSize: stallSize}).connect()
		tape.stall()
		require.ErrorIs(t, tape.say("x"), protocol.ErrWriteQueueFull)
		require.NoError(t, tape.socket.Close())
		assert.Len(t, p.rest(), stallSize)
		p.close()
		assert.Equal(t, protocol.ReasonLocalClosed, tape.ended().Reason)
	})
}

func TestTheCloseHandlerRunsTwiceIfResumedAfterAClose(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{closed: func(t *tape) { t.socket.Resume() }}, connection.Options{}).connect()
		_ = tape.socket.Close()
		tape.socket.Resume()
		p.close()
		tape.ended()
		tape.socket.Resume()
		w.settle()
		assert.Equal(t, 1, tape.count("closed"))
	})
}

func TestAPauseLetsOneMoreCallThrough(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(pauseOnce(), connection.Options{ReadBufferSize: 8}).connect()
		p.send("first")
		tape.paused()
		p.send("second, and more than a buffer")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
	})
}

func TestAfterAPeersHalfCloseTheReplyIsLost(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			b.Discard(b.Len())
			return t.write("reply", pattern(stallSize))
		}}, roomy()).connect()
		p.send("request")
		p.closeWrite()
		tape.await("data")
		same(t, pattern(stallSize), p.rest())
		p.close()
		assert.Zero(t, tape.ended().Stats.Unsent)
	})
}

func TestTheReadHandlerIsCalledWithANonEmptyWriteQueue(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, _ := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			assert.Zero(w.t, t.socket.Info().QueuedWrites)
			return echo(t, b)
		}}, connection.Options{}).connect()
		for range 50 {
			p.send("x")
			p.send("y")
			p.take(2)
		}
	})
}

func TestCallbacksNeverRunWhenTheConnectionEndsFirst(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, roomy()).connect()
		tape.stall()
		require.NoError(t, tape.write("queued", "x"))
		p.take(1)
		p.close()
		tape.ended()
		assert.Error(t, tape.await("queued").err)
	})
}

func TestAThrowableInAHandlerLeavesTheSocketOpen(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, failing(explode), listener.Options{}).connect()
		p.send("fail")
		assert.Empty(t, p.rest(), "closed")
		p.close()
		tape.ended()
	})
}

// executor belongs to the caller, and knows whether it was shut down.
type executor struct {
	*tcpactor.Pool
	closed atomic.Bool
}

func (e *executor) Close() {
	e.closed.Store(true)
	e.Pool.Close()
}

func TestAStopDoesNotFlushAndShutsDownTheCallersOwnExecutor(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		executor := &executor{Pool: tcpactor.NewPool()}
		defer func() { executor.Close(); executor.Wait() }()
		o := roomy()
		o.Dispatcher, o.DrainQuiet = executor, time.Millisecond
		s := w.serve(script{}, o)
		p, tape := s.connect()
		tape.stall()
		came := p.drain()
		s.finish(t, func() { assert.NoError(t, s.Shutdown(context.Background())) })
		assert.Equal(t, stallSize, came())
		assert.Zero(t, tape.ended().Stats.Unsent)
		assert.False(t, executor.closed.Load())
	})
}

func TestIndexAndReadLineThrowOnEdgeInputs(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			assert.Equal(w.t, -1, b.Index([]byte("longer than all there is")))
			if line, ok := b.ReadLine(); ok {
				return t.say("<" + string(line) + ">")
			}
			return nil
		}}, connection.Options{}).connect()
		p.send("\n")
		p.expect("<>")
		p.send("\r")
		tape.nth(2, "data")
		p.send("\n")
		p.expect("<>")
	})
}

func TestTheDefaultHostChangedSilently(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		if w.network.family != "tcp" {
			t.Skip("no hosts on this network")
		}
		s := &server{w: w, accepted: make(chan *tape, 1)}
		l, err := listener.Listen(w.system.Root, ":0", handlersForm(s, script{}), listener.Options{Transport: w.network.transport})
		require.NoError(t, err)
		defer func() { assert.NoError(t, l.Close()) }()
		assert.Contains(t, l.Addr().String(), "[::]:", "all interfaces, as in package net")
	})
}

func TestOneEMFILEKillsTheServerForGood(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	failing := faultnet.NewListener(inner)
	failing.Fail(syscall.EMFILE, syscall.EMFILE, syscall.EMFILE)
	inWorld(t, networks[0], func(_ *testing.T, w *world) {
		s := w.serveOn(failing, func() (net.Conn, error) { return net.Dial("tcp", inner.Addr().String()) }, script{}, listener.Options{})
		p, tape := s.connect()
		p.send("still here")
		tape.sees("still here")
		assert.Equal(t, uint64(3), s.Info().AcceptErrors)
	})
}
