package berthtest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/berthtest"
)

func TestWhatIsNotConsumedLeadsWhatIsFed(t *testing.T) {
	var buffer berthtest.Buffer
	assert.Zero(t, buffer.Len())
	shown := buffer.Feed("hel")
	assert.Equal(t, "hel", string(shown.Bytes()))
	assert.Equal(t, "he", string(shown.Next(2)))
	shown = buffer.Feed("lo\n")
	line, ok := shown.ReadLine()
	assert.True(t, ok)
	assert.Equal(t, "llo", string(line))
	assert.False(t, shown.AtEOF())
	buffer.Feed("rest")
	shown = buffer.End()
	assert.True(t, shown.AtEOF())
	assert.Equal(t, "rest", string(shown.Bytes()))
	assert.PanicsWithValue(t, "berthtest: Feed after End: nothing follows a FIN", func() { buffer.Feed("more") })
}

func TestASliceThatIsKeptIsOverwritten(t *testing.T) {
	var buffer berthtest.Buffer
	kept := buffer.Feed("hello").Next(5)
	assert.Equal(t, "hello", string(kept))
	buffer.Feed("")
	assert.Equal(t, "\xdb\xdb\xdb\xdb\xdb", string(kept))
}

func TestMemoryThatWasTakenStays(t *testing.T) {
	var buffer berthtest.Buffer
	taken := buffer.Feed("hello").Take()
	buffer.Feed("more")
	assert.Equal(t, "hello", string(taken))
	socket := berthtest.NewSocket(t)
	_, err := socket.Forward(&buffer.Buffer)
	require.NoError(t, err)
	buffer.End()
	assert.Equal(t, "more", socket.Written())
}
