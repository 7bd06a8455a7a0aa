package conformance

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// Group: one payload, many connections.

// gather returns a group of n new connections of s.
func gather(s *server, n int) (g *connection.Group, peers []*peer, tapes []*tape) {
	g = &connection.Group{}
	for range n {
		p, tape := s.connect()
		tape.unbooked = true // the group writes
		require.NoError(s.w.t, g.Add(tape.socket))
		peers, tapes = append(peers, p), append(tapes, tape)
	}
	return g, peers, tapes
}

func TestEveryMemberGetsWhatIsWrittenToTheGroup(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		g, peers, tapes := gather(w.open(factory, script{}, only(connection.Options{})), 3)
		for name, write := range map[string]func() (connection.Delivery, error){
			"Write":        func() (connection.Delivery, error) { return g.Write([]byte("hello")) },
			"WriteOwned":   func() (connection.Delivery, error) { return g.WriteOwned([]byte("hello")) },
			"WriteBuffers": func() (connection.Delivery, error) { return g.WriteBuffers([][]byte{[]byte("he"), []byte("llo")}) },
		} {
			d, err := write()
			require.NoError(t, err, name)
			assert.Equal(t, connection.Delivery{Accepted: 3}, d, name)
			for _, p := range peers {
				p.expect("hello")
			}
		}
		assert.True(t, g.Remove(tapes[0].socket))
		assert.False(t, g.Remove(tapes[0].socket))
		require.NoError(t, g.Add(tapes[1].socket), "again")
		d, err := g.Write([]byte("bye"))
		require.NoError(t, err)
		assert.Equal(t, connection.Delivery{Accepted: 2}, d)
		assert.Equal(t, 2, g.Len())
		members := map[protocol.Socket]bool{} // compared as pointers: their contents change
		for _, member := range g.Members() {
			members[member] = true
		}
		assert.True(t, len(members) == 2 && members[tapes[1].socket] && members[tapes[2].socket])
		peers[1].expect("bye")
		peers[2].expect("bye")
	})
}

func TestAGroupRefusesNoSocketAndNoBytes(t *testing.T) {
	var g connection.Group
	assert.EqualError(t, g.Add(nil), "berth: no socket to add to the group")
	_, err := g.Write(nil)
	assert.EqualError(t, err, "berth: nothing to write to the group: a nil slice")
	_, err = g.WriteBuffers([][]byte{[]byte("x"), nil})
	assert.EqualError(t, err, "berth: nothing to write to the group: a nil slice")
	d, err := g.Write([]byte("nothing hears this"))
	require.NoError(t, err)
	assert.Zero(t, d)
}

// All members see the same order, for writes of any goroutines.
func TestAllMembersSeeTheSameOrder(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		const writers, lines = 4, 200
		g, peers, _ := gather(w.serve(script{}, connection.Options{}), 3)
		var all, readers sync.WaitGroup
		got := make([]string, len(peers))
		size := writers * lines * len("1:234\n")
		for i, p := range peers {
			readers.Go(func() { got[i] = string(p.take(size)) })
		}
		for id := range writers {
			all.Go(func() {
				for n := range lines {
					d, err := g.Write(fmt.Appendf(nil, "%d:%03d\n", id, n))
					assert.NoError(t, err)
					assert.Equal(t, len(peers), d.Accepted)
				}
			})
		}
		all.Wait()
		readers.Wait()
		for i := range got {
			same(t, got[0], got[i])
		}
		last := map[byte]string{}
		for line := range strings.Lines(got[0]) {
			assert.Less(t, last[line[0]], line, "in the order of its writer")
			last[line[0]] = line
		}
		assert.Len(t, last, writers)
	})
}

func TestASlowMemberIsTreatedByItsPolicyAndCounted(t *testing.T) {
	for name, one := range map[string]struct {
		slow connection.SlowPolicy
		want func(slow protocol.Socket) connection.Delivery
	}{
		"refuse": {connection.SlowRefuse, func(slow protocol.Socket) connection.Delivery {
			return connection.Delivery{Accepted: 1, Refused: []protocol.Socket{slow}}
		}},
		"drop": {connection.SlowDropNewest, func(protocol.Socket) connection.Delivery {
			return connection.Delivery{Accepted: 1, Dropped: 1}
		}},
		"close": {connection.SlowClose, func(slow protocol.Socket) connection.Delivery {
			return connection.Delivery{Accepted: 1, Refused: []protocol.Socket{slow}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			eachNetwork(t, func(t *testing.T, w *world) {
				s := w.serve(script{}, slow(connection.SlowRefuse))
				g, peers, tapes := gather(s, 1)
				p, stalled := s.connect()
				stalled.unbooked = true
				require.NoError(t, g.AddWith(stalled.socket, one.slow))
				stalled.stall()
				w.fills(stalled)
				d, err := g.Write([]byte("line"))
				require.NoError(t, err)
				assert.Equal(t, one.want(stalled.socket), d)
				peers[0].expect("line")
				if one.slow == connection.SlowClose {
					assert.Equal(t, tapes[0].socket, g.Members()[0])
					assert.Equal(t, 1, g.Len(), "it left at once")
					assert.Equal(t, strings.Repeat("s", stallSize), p.rest())
					p.close()
					assert.Equal(t, protocol.ReasonSlowConsumer, stalled.ended().Reason)
					return
				}
				p.take(stallSize)
				stalled.await("stall")
				assert.Equal(t, one.slow == connection.SlowDropNewest, stalled.socket.Info().Stats.DroppedWrites == 1)
				d, err = g.Write([]byte("next"))
				require.NoError(t, err)
				assert.Equal(t, connection.Delivery{Accepted: 2}, d)
				p.expect("next")
			})
		})
	}
}

// A room is told that a member leaves while the flush of that member's output still goes on.
func TestAMemberThatBeginsToCloseLeavesAtOnce(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, roomy())
		left := make(chan *protocol.Closing, 10)
		g := &connection.Group{Left: func(_ protocol.Socket, why *protocol.Closing) { left <- why }}
		_, tape := s.connect()
		other, stays := s.connect()
		stays.unbooked = true
		require.NoError(t, g.Add(tape.socket))
		require.NoError(t, g.Add(stays.socket))
		tape.stall()
		w.fills(tape)
		_ = tape.socket.Close()
		assert.Equal(t, 1, g.Len())
		why := <-left
		assert.Equal(t, &protocol.Closing{Socket: tape.socket, Reason: protocol.ReasonLocalClosed}, why)
		assert.Zero(t, tape.count("closed"), "its flush goes on")
		d, err := g.Write([]byte("x"))
		require.NoError(t, err)
		assert.Equal(t, connection.Delivery{Accepted: 1}, d)
		other.expect("x")
		assert.ErrorIs(t, g.Add(tape.socket), protocol.ErrClosed)
		assert.Equal(t, 1, g.Len())
		tape.socket.Abort()
		tape.ended()
		assert.Empty(t, left, "once")
	})
}

func TestARemovedMemberLeavesWithoutAWord(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{}).connect()
		g := &connection.Group{Left: func(protocol.Socket, *protocol.Closing) { t.Error("it did not leave by its end") }}
		require.NoError(t, g.Add(tape.socket))
		assert.True(t, g.Remove(tape.socket))
		tape.socket.Abort()
		tape.ended()
		w.settle()
	})
}

// Members come and go while goroutines write to the group.
func TestAGroupWhoseMembersComeAndGo(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		s := w.serve(script{}, connection.Options{SlowConsumer: connection.SlowDropNewest})
		var g connection.Group
		stop := make(chan struct{})
		var writers sync.WaitGroup
		for range 2 {
			writers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						_, err := g.Write([]byte("line\n"))
						assert.NoError(t, err)
						w.yield()
					}
				}
			})
		}
		for i := range 40 {
			p, tape := s.connect()
			tape.unbooked = true
			require.NoError(t, g.Add(tape.socket))
			p.expect("line\n")
			switch i % 3 {
			case 0:
				p.close()
			case 1:
				tape.socket.Abort()
			case 2:
				g.Remove(tape.socket)
				p.close()
			}
			tape.ended()
		}
		close(stop)
		writers.Wait()
		assert.Zero(t, g.Len())
	})
}
