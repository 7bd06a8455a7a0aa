package conformance

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// G7: Data is not delivered while the connection's own writes are pending. LowWater and Off can be
// chosen.

func TestDataComesOnlyWhileNoWriteIsPending(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error {
			assert.Zero(w.t, t.socket.Info().QueuedWrites)
			return echo(t, b)
		}}, only(connection.Options{})).connect()
		sent := pattern(300_000)
		go func() {
			_, _ = io.WriteString(p.Conn, sent)
			_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		same(t, sent, p.rest())
		p.close()
		tape.ended()
	})
}

func TestAPeerThatDoesNotReadIsNotReadFrom(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, roomy()).connect()
		require.NoError(t, tape.say(strings.Repeat("s", stallSize))) // no completion: the gate alone wakes the reading
		p.send("wait")
		w.settle()
		assert.Equal(t, 0, tape.count("data"))
		p.take(stallSize)
		tape.sees("wait")
	})
}

func TestAForcedCallWaitsForTheGateToo(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: leave}, roomy()).connect()
		p.send("unread")
		tape.await("data")
		tape.stall()
		tape.socket.Resume()
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		p.take(stallSize)
		tape.nth(2, "data")
	})
}

func TestWithGateLowWaterDataComesOnceLittleIsPending(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		const low = stallSize / 2
		o := roomy()
		o.ReadGate, o.HighWater, o.LowWater = connection.GateLowWater, stallSize, low
		p, tape := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			assert.LessOrEqual(w.t, t.socket.Info().QueuedBytes, low)
			b.Discard(b.Len())
			return nil
		}}, o).connect()
		tape.stall()
		p.send("wait")
		w.settle()
		assert.Equal(t, 0, tape.count("data"))
		p.take(stallSize * 3 / 4)
		tape.sees("wait")
		p.take(stallSize / 4)
	})
}

func TestWithGateOffDataComesRegardless(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := roomy()
		o.ReadGate = connection.GateOff
		p, tape := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			assert.NotZero(w.t, t.socket.Info().QueuedWrites)
			b.Discard(b.Len())
			return nil
		}}, o).connect()
		tape.stall()
		p.send("no wait")
		tape.sees("no wait")
		require.Equal(t, 0, tape.count("stall"))
	})
}
