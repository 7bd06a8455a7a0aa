package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/report"
)

// After its FIN a connection waits for the peer's FIN for at most LingerTimeout. It does not count
// among MaxConnections then.

// farewell answers its input, and closes.
var farewell = script{data: func(t *tape, b *protocol.Buffer) error {
	err := echo(t, b)
	_ = t.socket.Close()
	return err
}}

func TestClientsThatNeverCloseKeepNoOtherClientOut(t *testing.T) {
	const permits, clients = 10, 35
	eachNetwork(t, func(t *testing.T, w *world) {
		began := time.Now()
		s := w.listen(farewell, listener.Options{
			MaxConnections: permits, MaxConnectionsPerIP: permits,
			Connection: connection.Options{LingerTimeout: -1, CloseTimeout: -1},
		})
		var peers []*peer
		for range permits {
			p, _ := s.connect()
			peers = append(peers, p)
		}
		next := s.client() // it waits: every permit is taken
		peers = append(peers, next)
		for _, p := range peers[:permits] {
			p.send("hello")
		}
		assert.Equal(t, "hello", peers[0].rest())
		first := time.Now()
		next.send("hello")
		next.expect("hello")
		waited := time.Since(first)
		if w.network.virtual() {
			assert.Less(t, waited, 50*time.Millisecond)
		}
		for range clients - permits - 1 { // more than there may be lingerers
			p := s.client()
			peers = append(peers, p)
			p.send("hello")
			p.expect("hello")
			info := s.Info()
			assert.LessOrEqual(t, info.Lingering, permits)
			assert.LessOrEqual(t, info.Open-info.Lingering, permits)
		}
		for _, p := range peers[1:] {
			_, _ = p.all() // some got their answer already, none has been reset before
		}
		for _, p := range peers {
			p.close()
		}
		for range clients {
			select {
			case tape := <-s.accepted:
				assert.NoError(t, tape.ended().Err)
			default:
			}
		}
		require.NoError(t, s.WaitConnections(context.Background(), func(open int) bool { return open == 0 }))
		assert.Zero(t, s.Info().Lingering)
		assert.EqualValues(t, clients, s.Info().Ended[protocol.ReasonLocalClosed])
		report.Add(t, report.Row{ID: "A11", Holds: "G10, G11", Figures: map[string]any{
			"permits": permits, "clients that never close": clients, "served": len(peers), "the next was served after the first FIN in": waited.String(),
		}, Duration: time.Since(began)})
	})
}

// next waits for the next connection that is accepted.
func (s *server) next() *tape {
	s.w.t.Helper()
	select {
	case tape := <-s.accepted:
		return tape
	case <-time.After(s.w.patience()):
		require.Fail(s.w.t, "not accepted")
		return nil
	}
}

// The permit is free from the FIN on, not from the Close: accepted output is still on its way
// before.
func TestAConnectionHoldsItsPlaceUntilItsFINIsSent(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		w.needsPermits()
		o := roomy()
		o.CloseTimeout, o.LingerTimeout = -1, -1
		s := w.listen(script{}, listener.Options{MaxConnections: 1, Connection: o})
		p, tape := s.connect()
		tape.stall()
		_ = tape.socket.Close()
		tape.left(protocol.StateOpen)
		next := s.client()
		w.settle()
		assert.Equal(t, protocol.StateFlushing, tape.socket.Info().State)
		assert.Empty(t, s.accepted, "the permit is taken")
		assert.Len(t, p.rest(), stallSize)
		second := s.next()
		assert.Equal(t, protocol.StateClosing, tape.socket.Info().State)
		assert.Equal(t, 1, s.Info().Lingering)
		p.close()
		tape.ended()
		next.close()
		second.ended()
	})
}

func TestTheWaitForThePeersFINEndsAtTheLingerTimeout(t *testing.T) {
	mostlyWaits(t)
	eachNetwork(t, func(t *testing.T, w *world) {
		const limit = 100 * time.Millisecond
		p, tape := w.serve(script{}, connection.Options{LingerTimeout: limit, CloseTimeout: time.Hour}).connect()
		require.NoError(t, tape.say("bye"))
		start := time.Now()
		_ = tape.socket.Close()
		assert.Equal(t, "bye", p.rest())
		closed := tape.ended()
		assert.GreaterOrEqual(t, time.Since(start), limit)
		assert.NoError(t, closed.Err, "everything was flushed")
		assert.Equal(t, protocol.ReasonLocalClosed, closed.Reason)
		p.close()
	})
}
