package connection

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

func TestAMemberNeedsAPolicy(t *testing.T) {
	var g Group
	err := g.AddWith(newConnection(Options{}, &taker{}), SlowDropNewest+1)
	assert.EqualError(t, err, "berth: the policy 3 is none of SlowRefuse, SlowClose, SlowDropNewest")
	assert.Zero(t, g.Len())
}

func TestAPayloadThatNoQueueOfAMemberCanHoldIsAnError(t *testing.T) {
	for _, policy := range []SlowPolicy{SlowRefuse, SlowClose, SlowDropNewest} {
		small := newConnection(Options{WriteBufferSize: 10, SlowConsumer: policy}, &taker{})
		large := newConnection(Options{WriteBufferSize: 20, SlowConsumer: policy}, &taker{})
		var g Group
		require.NoError(t, g.Add(small))
		require.NoError(t, g.Add(large))
		d, err := g.Write(make([]byte, 15))
		require.ErrorIs(t, err, protocol.ErrWriteTooLarge)
		assert.ErrorContains(t, err, "15 bytes, for 1 of 2 members")
		assert.Equal(t, Delivery{Accepted: 1, Refused: []protocol.Socket{small}}, d)
		assert.Nil(t, small.cause.Load())
		d, err = g.WriteBuffers([][]byte{make([]byte, 2), make([]byte, 3)})
		assert.NoError(t, err)
		assert.Equal(t, 2, d.Accepted)
	}
}
