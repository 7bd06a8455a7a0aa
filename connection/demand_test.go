package connection

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/protocol"
)

func TestCreditsOfDataAddUpAndNeverOverflow(t *testing.T) {
	const most = 1 << 30
	for _, one := range []struct{ demand, credit, want int }{
		{0, 1, 1}, {3, 4, 7},
		{unlimited, 5, 5}, // counting begins at zero
		{most, 1, most}, {most - 1, 2, most}, {1, math.MaxInt, most}, {most, math.MaxInt, most},
	} {
		assert.Equal(t, one.want, addCredit(one.demand, one.credit), "%+v", one)
	}
}

func TestResumeMeansAsMuchAsItsModeSays(t *testing.T) {
	for _, one := range []struct {
		mode                 Mode
		demand, credit, want int
	}{
		{Push, unlimited, 0, unlimited}, {Push, unlimited, 2, 2}, {Push, 2, 3, 5}, {Push, 0, 0, unlimited}, {Push, 5, -1, unlimited},
		{Pull, 0, 0, 1}, {Pull, 0, 3, 3}, {Pull, 3, 2, 5}, {Pull, 1, 0, 1}, {Pull, 5, 0, 5}, {Pull, 0, -1, 1},
	} {
		c := newConnection(Options{ReadMode: one.mode}, &taker{})
		c.demand.Store(int32(one.demand))
		c.paused.Store(true)
		c.resume(one.credit)
		assert.EqualValues(t, one.want, c.demand.Load(), "%+v", one)
		assert.False(t, c.paused.Load())
	}
}

func TestTheHandleAnswersAfterTheEndToo(t *testing.T) {
	c := newConnection(Options{WriteQueueSize: 1, WriteBufferSize: 3}, &taker{})
	n, err := c.Write([]byte("four"))
	assert.Zero(t, n)
	assert.EqualError(t, err, "berth: write larger than WriteBufferSize: 4 bytes with a WriteBufferSize of 3; WriteContext takes any length")
	assert.ErrorIs(t, err, protocol.ErrWriteTooLarge)
	_, err = c.Write([]byte("one"))
	assert.NoError(t, err)
	n, err = c.Write(nil)
	assert.Zero(t, n)
	assert.Equal(t, protocol.ErrWriteQueueFull, err)
	info := c.Info()
	assert.Equal(t, protocol.Info{RemoteAddr: "192.0.2.1:7", State: open, QueuedWrites: 1, QueuedBytes: 3,
		Stats: protocol.Stats{Duration: info.Stats.Duration}}, info)
	assert.NoError(t, c.Close())
	assert.NoError(t, c.Close())
	_, err = c.Write(nil)
	assert.Equal(t, protocol.ErrClosed, err)
}
