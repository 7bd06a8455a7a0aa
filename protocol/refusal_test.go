package protocol_test

import (
	"go/token"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// The words are a promise, as those of the reasons are.
var refusals = map[protocol.Refusal]string{
	protocol.RefusalNone:      "none",
	protocol.RefusalDenied:    "denied",
	protocol.RefusalPerIP:     "too many connections from its address",
	protocol.RefusalFull:      "too many connections",
	protocol.RefusalRate:      "too many connections in a short time",
	protocol.RefusalUntrusted: "no trusted proxy",
}

func TestEveryRefusalHasItsOwnWords(t *testing.T) {
	declared := declaredIn(t, "refusal.go", token.CONST, "Refusal")
	require.Len(t, refusals, len(declared), "a constant of refusal.go is missing here: %v", declared)
	seen := map[string]protocol.Refusal{}
	for r, words := range refusals {
		assert.Equal(t, words, r.String())
		assert.NotContains(t, seen, r.String())
		seen[r.String()] = r
	}
	assert.Zero(t, protocol.RefusalNone)
}

func TestARefusalThatIsNoneOfTheConstantsIsUnknown(t *testing.T) {
	for i := range math.MaxUint8 + 1 {
		if _, known := refusals[protocol.Refusal(i)]; !known {
			assert.Equal(t, "unknown", protocol.Refusal(i).String(), "Refusal(%d)", i)
		}
	}
}
