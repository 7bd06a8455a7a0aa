package protocol_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

func TestEveryStateHasAName(t *testing.T) {
	text, err := json.Marshal(map[protocol.State]protocol.State{
		protocol.StateOpening: protocol.StateOpen, protocol.StateFlushing: protocol.StateClosing, protocol.StateClosed: 9,
	})
	require.NoError(t, err)
	assert.JSONEq(t, `{"opening": "open", "flushing": "closing", "closed": "state 9"}`, string(text))
}
