package listener

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

func TestAMemoryBudgetsMarksAreFourAndThreeFifthsOfIt(t *testing.T) {
	assert.Zero(t, Options{}.memory().Total)
	assert.Zero(t, Options{MemoryBudget: -1}.memory().Total)
	assert.Equal(t, connection.BudgetLimits{Total: 1000, HighWater: 800, LowWater: 600, Timeout: 30 * time.Second}, Options{MemoryBudget: 1000}.memory())
	assert.Equal(t, connection.BudgetLimits{Total: 1000, HighWater: 400, LowWater: 300, Timeout: -1},
		Options{MemoryBudget: 1000, MemoryHighWater: 400, MemoryTimeout: -1}.memory())
	assert.Equal(t, connection.BudgetLimits{Total: 1000, HighWater: 1000, LowWater: 1, Timeout: 2},
		Options{MemoryBudget: 1000, MemoryHighWater: 1000, MemoryLowWater: 1, MemoryTimeout: 2}.memory())
	for _, o := range []Options{
		{MemoryBudget: -1}, {MemoryTimeout: -1}, {MemoryBudget: 8 << 10, MemoryHighWater: 8 << 10}, {MemoryBudget: 1 << 40},
	} {
		assert.NoError(t, o.validate())
	}
}

func TestWithoutABudgetNothingIsCounted(t *testing.T) {
	w := newWorld()
	l := w.listen(t, of(&holder{}), Options{})
	send(t, dial(t, l), "held")
	eventually(t, func() bool { return l.Info().Read == 4 })
	info := l.Info()
	assert.Zero(t, info.BufferedBytes)
	assert.Zero(t, info.Throttled)
	assert.Zero(t, info.OverBudget)
}

func TestTheInfoTellsWhatIsHeldAndTheEventsWhenItIsMuch(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MemoryBudget, o.MemoryHighWater = 10<<10, 8<<10
		o.Connection = connection.Options{HoldFullReadBuffer: true, CloseTimeout: -1}
		l := w.listen(t, of(&holder{}), o)
		first := dial(t, l)
		send(t, first, "held")
		eventually(t, func() bool { return l.Info().BufferedBytes > 0 })
		assert.Less(t, l.Info().BufferedBytes, int64(4<<10))
		assert.Empty(t, published[*BudgetHigh](w))

		send(t, first, strings.Repeat("x", 100_000))
		eventually(t, func() bool { return l.Info().BufferedBytes == 8<<10 })
		eventually(t, func() bool { return len(published[*BudgetHigh](w)) == 1 })
		assert.Equal(t, &BudgetHigh{Addr: l.Addr(), Buffered: 8 << 10, Budget: 10 << 10}, published[*BudgetHigh](w)[0])
		for range 10 {
			send(t, dial(t, l), "other")
		}
		eventually(t, func() bool { return l.Info().Throttled > 0 && l.Info().Open == 11 })
		assert.LessOrEqual(t, l.Info().BufferedBytes, int64(10<<10))
		assert.Empty(t, published[*BudgetLow](w))

		for _, c := range l.server.spawner.Load().Live() {
			c.Abort()
		}
		eventually(t, func() bool { return len(published[*BudgetLow](w)) == 1 })
		assert.Equal(t, &BudgetLow{Addr: l.Addr(), Budget: 10 << 10}, published[*BudgetLow](w)[0])
		info := l.Info()
		assert.Zero(t, info.BufferedBytes)
		assert.Zero(t, info.Throttled)
	})
}

func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

// holder consumes nothing.
type holder struct{ echo }

func (*holder) Data(protocol.Socket, *protocol.Buffer) error { return nil }

func TestWritesThatTheBudgetRefusesAreCounted(t *testing.T) {
	w := newWorld()
	e := newEcho()
	l := w.listen(t, of(e), Options{MemoryBudget: 16 << 10, Connection: connection.Options{WriteBufferSize: 1 << 20}})
	_ = dial(t, l)
	s := receive(t, e.accepted)
	for range 3 {
		require.Equal(t, protocol.ErrMemoryBudget, s.WriteOwned(make([]byte, 17<<10), nil))
	}
	assert.EqualValues(t, 3, l.Info().OverBudget)
	require.NoError(t, s.WriteOwned(make([]byte, 16<<10), nil))
}
