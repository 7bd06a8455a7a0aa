package protocol_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

func TestTheLastNeedCounts(t *testing.T) {
	b := buffer("hello")
	assert.Zero(t, b.Needed())
	require.NoError(t, b.Need(7))
	require.NoError(t, b.Need(9))
	assert.Equal(t, 9, b.Needed())
	require.NoError(t, b.Need(3), "fewer than there are")
	assert.Equal(t, 3, b.Needed())
	for _, none := range []int{0, -1} {
		require.NoError(t, b.Need(7))
		require.NoError(t, b.Need(none))
		assert.Zero(t, b.Needed())
	}
}

func TestConsumedBytesTakeANeedBack(t *testing.T) {
	for name, consume := range map[string]func(*protocol.Buffer){
		"Next":    func(b *protocol.Buffer) { b.Next(1) },
		"Discard": func(b *protocol.Buffer) { b.Discard(5) },
		"Take":    func(b *protocol.Buffer) { b.Take() },
		"ReadByte": func(b *protocol.Buffer) {
			_, err := b.ReadByte()
			require.NoError(t, err)
		},
	} {
		b := buffer("hello")
		require.NoError(t, b.Need(7))
		b.Peek(3)
		assert.Equal(t, 7, b.Needed(), "looking consumes nothing")
		consume(b)
		assert.Zero(t, b.Needed(), name)
		require.NoError(t, b.Need(8), name)
		assert.Equal(t, 8, b.Needed(), name)
	}
}

func TestSkippedBytesAreCountedForOneData(t *testing.T) {
	b := buffer("  hello")
	require.NoError(t, b.Need(9))
	assert.Equal(t, 2, b.Skip(2))
	assert.Zero(t, b.Needed(), "they are consumed")
	assert.Equal(t, "hello", string(b.Next(5)))
	assert.Zero(t, b.Skip(1))
	assert.Equal(t, 2, (*protocol.Source)(b).Skipped())
	(*protocol.Source)(b).Attach([]byte("hello"), nil, false)
	assert.Zero(t, (*protocol.Source)(b).Skipped())
}

func TestANewDataNeedsNothing(t *testing.T) {
	b := buffer("hello")
	require.NoError(t, b.Need(7))
	(*protocol.Source)(b).Attach([]byte("hello"), nil, false)
	assert.Zero(t, b.Needed())
}

func TestANeedThatIsTooLargeAsksForNothing(t *testing.T) {
	b := buffer("hello")
	(*protocol.Source)(b).Bound(10)
	require.NoError(t, b.Need(10))
	require.EqualError(t, b.Need(11), "berth: 11 bytes are needed at once, and MaxReadBufferSize allows 10")
	assert.Equal(t, 10, b.Needed(), "as before")
}

func TestAFrameIsShownApartFromTheBytesBehindIt(t *testing.T) {
	var shown protocol.Buffer
	memory := []byte("one two")
	b := new(protocol.Buffer)
	(*protocol.Source)(b).AttachAt(100, memory, "owner", true)
	payload := b.Next(4)[:3]
	(*protocol.Source)(&shown).ShowFrame(payload, b, 100)
	assert.Equal(t, "one", string(shown.Bytes()))
	assert.Equal(t, uint64(100), shown.Offset())
	assert.False(t, shown.AtEOF(), "more bytes follow")
	assert.Nil(t, (*protocol.Source)(&shown).Storage(), "nothing can take the memory over")
	require.EqualError(t, shown.Need(4), "berth: a frame is shown whole, there is no more of it to need")
	require.NoError(t, shown.Need(3))
	taken := shown.Take()
	memory[0] = 'X'
	assert.Equal(t, "one", string(taken), "a copy")
	assert.Zero(t, shown.Len())

	payload = b.Next(3)
	(*protocol.Source)(&shown).ShowFrame(payload, b, 104)
	assert.True(t, shown.AtEOF(), "the last frame")
}
