package listener

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// manyAsleep starts a listener with the given number of sleeping handlers, and one client beside
// them.
func manyAsleep(t *testing.T, o Options, n int) (*world, *Listener, *sleeper, []net.Conn) {
	w, handler := newWorld(), newSleeper()
	o.Connection = connection.Options{CloseTimeout: 100 * time.Millisecond, DrainQuiet: 5 * time.Millisecond}
	l := w.listen(t, of(handler), o)
	var clients []net.Conn
	for range n {
		c := dial(t, l)
		_, err := io.WriteString(c, "sleep")
		require.NoError(t, err)
		clients = append(clients, c)
	}
	for range n {
		receive(t, handler.asleep)
	}
	return w, l, handler, clients
}

func TestAConnectionWhoseHandlerSleepsCanBeAbortedAtOnceAndClosedWhenItReturns(t *testing.T) {
	const sleepers = 8
	overEach(t, func(t *testing.T, o Options) {
		_, l, handler, clients := manyAsleep(t, o, 2*sleepers)
		var sockets []protocol.Socket
		for range clients {
			sockets = append(sockets, receive(t, handler.accepted))
		}
		began := time.Now()
		for i, s := range sockets {
			if i < sleepers {
				s.Abort()
			} else {
				_ = s.Close()
			}
		}
		resets := 0
		for _, c := range clients {
			_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			if _, err := c.Read(make([]byte, 1)); errors.Is(err, syscall.ECONNRESET) {
				resets++
			}
		}
		assert.Equal(t, sleepers, resets, "the peers know at once")
		assert.Less(t, time.Since(began), 1500*time.Millisecond, "the end did not wait for a handler")
		assert.Empty(t, handler.closed, "no handler is called while it is inside")
		echoes(t, dial(t, l))
		close(handler.wake)
		reasons := map[protocol.Reason]int{}
		for range clients {
			reasons[receive(t, handler.closed).Reason]++
		}
		assert.Equal(t, map[protocol.Reason]int{protocol.ReasonLocalAborted: sleepers, protocol.ReasonLocalClosed: sleepers}, reasons)
		eventually(t, func() bool { return l.Info().Open == 1 })
	})
}

func TestAShutdownWaitsForHandlersThatSleepAndNamesThoseThatDoNotWakeInTime(t *testing.T) {
	t.Parallel() // it mostly waits
	const sleepers = 8
	overEach(t, func(t *testing.T, o Options) {
		_, l, handler, clients := manyAsleep(t, o, sleepers)
		for _, c := range clients {
			go func() { _ = ends(c); _ = c.Close() }()
		}
		time.AfterFunc(50*time.Millisecond, func() { close(handler.wake) })
		require.NoError(t, l.Shutdown(within(t, patience)))
		assert.Len(t, handler.closed, sleepers)

		w, l, handler, _ := manyAsleep(t, o, sleepers)
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var late *ShutdownError
		require.ErrorAs(t, l.Shutdown(ctx), &late)
		assert.Len(t, late.Stuck, sleepers)
		assert.Empty(t, handler.closed)
		close(handler.wake)
		receive(t, l.Done())
		assert.Len(t, handler.closed, sleepers, "each Closed comes, however late")
		if o.Transport == Stream { // a pool does not join the turns of actors that end so late
			eventually(t, func() bool { return len(w.actors()) == 0 })
		}
		assert.Empty(t, w.actors())
	})
}
