package observe

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/berthtest"
	"github.com/go-berth/berth/test/simnet"
)

// warnAfter is the option in these tests, and margin how much later the sweep may notice.
const (
	warnAfter = 800 * time.Millisecond
	margin    = 600 * time.Millisecond
)

func quick() berth.Options {
	var options berth.Options
	options.Connection.WarnAfter = warnAfter
	return options
}

func TestABlockedHandlerIsWarnedOf(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		release := make(chan struct{})
		handler := berth.HandlerFunc(func(_ berth.Socket, data *berth.Buffer) error {
			data.Discard(data.Len())
			<-release
			return nil
		})
		server := berthtest.Serve(t, handler, append(options, berthtest.With(quick()))...)
		e := listen(server.System)
		client := server.Dial()
		began := time.Now()
		client.Send("x")
		w := warned(t, e, berth.WarnHandlerBlocked, false)
		assert.GreaterOrEqual(t, time.Since(began), warnAfter)
		assert.GreaterOrEqual(t, w.For, warnAfter)
		assert.Equal(t, client.Conn().LocalAddr().String(), w.RemoteAddr.String())
		assert.NotEmpty(t, w.Kind.Advice())

		now := server.Warnings()
		require.Len(t, now, 1)
		assert.Equal(t, w.PID, now[0].PID)
		info := server.List(berth.Query{}).Rows[0]
		assert.GreaterOrEqual(t, info.HandlerFor, warnAfter-margin)

		close(release)
		over := warned(t, e, berth.WarnHandlerBlocked, true)
		assert.Equal(t, w.PID, over.PID)
		assert.Empty(t, server.Warnings())
		assert.Zero(t, server.List(berth.Query{}).Rows[0].HandlerFor)
		client.Close()
	})
}

// Work without end is no blocked handler: its calls return.
func TestABusyHandlerIsNotWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := berth.HandlerFunc(func(_ berth.Socket, data *berth.Buffer) error {
			data.Discard(1)
			time.Sleep(warnAfter / 3)
			return nil
		})
		server := berthtest.Serve(t, handler, berthtest.With(quick()))
		e := listen(server.System)
		client := server.Dial()
		for range 20 {
			client.Send("x")
			time.Sleep(warnAfter / 3)
		}
		client.Close()
		require.NoError(t, server.Close())
		assert.Empty(t, of[*berth.Warning](e))
	})
}

func TestAPausedConnectionWithAResetPeerIsWarnedOf(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		paused := make(chan struct{}, 1)
		handler := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
			data.Discard(data.Len())
			socket.Pause()
			select {
			case paused <- struct{}{}:
			default:
			}
			return nil
		})
		slow := quick()
		slow.Connection.LingerTimeout = 3 * warnAfter
		server := berthtest.Serve(t, handler, append(options, berthtest.With(slow))...)
		e := listen(server.System)
		client := server.Dial()
		client.Send("x")
		<-paused
		client.Send("this is never shown")
		time.Sleep(warnAfter + margin)
		assert.Empty(t, of[*berth.Warning](e), "a pause alone is nothing to warn of")
		client.Reset()
		w := warned(t, e, berth.WarnPausedReset, false)
		assert.GreaterOrEqual(t, w.For, warnAfter)
		assert.NotEmpty(t, w.Kind.Advice())
		warned(t, e, berth.WarnPausedReset, true)
	})
}

func TestAFullWriteQueueIsWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
			data.Discard(data.Len())
			for {
				if _, err := socket.Write(make([]byte, 8<<10)); err != nil {
					return nil //nolint:nilerr // the queue is full, as it is meant to be
				}
			}
		})
		server := berthtest.Serve(t, handler, berthtest.With(quick()), berthtest.Network(simnet.Options{BufferSize: 4 << 10}))
		e := listen(server.System)
		client := server.Dial()
		client.Send("x")
		w := warned(t, e, berth.WarnQueueFull, false)
		assert.GreaterOrEqual(t, w.For, warnAfter)
		assert.NotEmpty(t, w.Kind.Advice())
		assert.Equal(t, 1, server.Info().Full)
		assert.Equal(t, w.PID, server.List(berth.Query{Sort: berth.SortQueued, Descending: true}).Rows[0].PID)
		for range 8 { // the peer reads, and the queue goes down
			client.Read(4 << 10)
		}
		warned(t, e, berth.WarnQueueFull, true)
		assert.Zero(t, server.Info().Full)
		client.Close()
	})
}

// A peer that is slow, but takes more than the queue holds, is no cause for a warning.
func TestAQueueThatTurnsOverIsNotWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fill := func(socket berth.Socket) {
			for {
				if _, err := socket.Write(make([]byte, 8<<10)); err != nil {
					return
				}
			}
		}
		server := berthtest.Serve(t, berth.Handlers(func() berth.Handler { return &filler{fill} }),
			berthtest.With(quick()), berthtest.Network(simnet.Options{BufferSize: 4 << 10}))
		e := listen(server.System)
		client := server.Dial()
		client.Send("x")
		for range 40 {
			client.Read(8 << 10)
			time.Sleep(warnAfter / 8)
		}
		assert.Empty(t, of[*berth.Warning](e))
		client.Close()
	})
}

type filler struct{ fill func(berth.Socket) }

func (f *filler) Data(socket berth.Socket, data *berth.Buffer) error {
	data.Discard(data.Len())
	f.fill(socket)
	return nil
}

func (f *filler) Writable(socket berth.Socket, ready bool) error {
	if ready {
		f.fill(socket)
	}
	return nil
}

func TestAPublicAddressWithoutAnIdleTimeoutIsWarnedOf(t *testing.T) {
	for _, c := range []struct {
		addr   string
		idle   time.Duration
		warned bool
	}{{":0", 0, true}, {"127.0.0.1:0", 0, false}, {":0", time.Minute, false}} {
		system := silent()
		e := listen(system)
		var options berth.Options
		options.Connection.IdleTimeout = c.idle
		server, err := berth.ListenIn(system.Root, c.addr, echo, options)
		require.NoError(t, err)
		if c.warned {
			w := warned(t, e, berth.WarnNoIdleTimeout, false)
			assert.Equal(t, server.Addr(), w.Addr)
			assert.Nil(t, w.PID)
			assert.NotEmpty(t, w.Kind.Advice())
			require.Len(t, server.Warnings(), 1)
			options.Connection.IdleTimeout = time.Minute
			require.NoError(t, server.SetOptions(options))
		}
		assert.Empty(t, server.Warnings())
		require.NoError(t, server.Close())
		if !c.warned {
			assert.Empty(t, of[*berth.Warning](e))
		}
	}
}

func TestAGroupThatGrowsIsWarnedOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var room berth.Group
		joined := make(chan struct{}, 2048)
		handler := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
			data.Discard(data.Len())
			defer func() { joined <- struct{}{} }()
			return room.Add(socket)
		})
		server := berthtest.Serve(t, handler)
		e := listen(server.System)
		var clients []*berthtest.Client
		for range 1023 {
			client := server.Dial()
			client.Send("x")
			<-joined
			clients = append(clients, client)
		}
		synctest.Wait()
		assert.Empty(t, of[*berth.Warning](e))
		clients = append(clients, server.Dial())
		clients[1023].Send("x")
		w := warned(t, e, berth.WarnGroupGrows, false)
		assert.Equal(t, 1024, w.Members)
		assert.NotEmpty(t, w.Kind.Advice())
		for _, client := range clients {
			client.Close()
		}
	})
}
