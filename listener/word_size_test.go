package listener

import (
	"strconv"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
)

// GOARCH=386 go test ./...
func TestOn32BitsTheActorSystemMustBeOneThatWorksThere(t *testing.T) {
	stock := actor.NewActorSystem()
	l, err := Listen(stock.Root, anyPort, of(newEcho()), Options{})
	if strconv.IntSize < 64 {
		require.ErrorIs(t, err, errWordSize)
		assert.Len(t, tcpactor.NewSystem().ProcessRegistry.LocalPIDs.LocalPIDs, 1)
		return
	}
	require.NoError(t, err)
	require.NoError(t, l.Close())
}
