package protocol_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// The words are a promise too: they end up in logs and in the labels of metrics.
var reasons = map[protocol.Reason]string{
	protocol.ReasonNone:             "none",
	protocol.ReasonHandshake:        "handshake failed",
	protocol.ReasonPeerClosed:       "peer closed",
	protocol.ReasonPeerReset:        "peer reset",
	protocol.ReasonLocalClosed:      "closed",
	protocol.ReasonLocalAborted:     "aborted",
	protocol.ReasonHandlerError:     "handler error",
	protocol.ReasonHandlerPanic:     "handler panic",
	protocol.ReasonReadBufferFull:   "read buffer full",
	protocol.ReasonIdleTimeout:      "idle timeout",
	protocol.ReasonReadTimeout:      "read timeout",
	protocol.ReasonWriteTimeout:     "write timeout",
	protocol.ReasonHalfCloseTimeout: "half-close timeout",
	protocol.ReasonMaxAge:           "max age",
	protocol.ReasonSlowConsumer:     "slow consumer",
	protocol.ReasonLinkDown:         "link down",
	protocol.ReasonMemoryBudget:     "memory budget",
	protocol.ReasonTransportError:   "transport error",
	protocol.ReasonShutdown:         "shutdown",
	protocol.ReasonStopped:          "stopped",
}

func TestEveryReasonHasItsOwnWords(t *testing.T) {
	declared := declaredIn(t, "reason.go", token.CONST, "Reason")
	require.Len(t, reasons, len(declared), "a constant of reason.go is missing here: %v", declared)

	seen := map[string]protocol.Reason{}
	for r, words := range reasons {
		assert.Equal(t, words, r.String())
		assert.NotEmpty(t, r.String())
		assert.NotEqual(t, "unknown", r.String())
		assert.NotContains(t, seen, r.String())
		seen[r.String()] = r
	}
}

func TestAReasonThatIsNoneOfTheConstantsIsUnknown(t *testing.T) {
	for i := range math.MaxUint8 + 1 {
		r := protocol.Reason(i)
		if _, known := reasons[r]; !known {
			assert.Equal(t, "unknown", r.String(), "Reason(%d)", i)
		}
	}
	assert.Equal(t, "unknown", (protocol.ReasonStopped + 1).String())
	assert.Equal(t, "unknown", protocol.Reason(math.MaxUint8).String())
}

func TestTheZeroReasonIsNone(t *testing.T) {
	var closed protocol.Closed
	assert.Equal(t, protocol.ReasonNone, closed.Reason)
	assert.Equal(t, "none", closed.Reason.String())
}

// declaredIn returns the names with a prefix that a file of this package declares at its top, so
// that a table in a test cannot forget one.
func declaredIn(t *testing.T, file string, kind token.Token, prefix string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	require.NoError(t, err)
	for _, d := range parsed.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != kind {
			continue
		}
		for _, spec := range g.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if strings.HasPrefix(name.Name, prefix) {
					names = append(names, name.Name)
				}
			}
		}
	}
	require.NotEmpty(t, names)
	return names
}
