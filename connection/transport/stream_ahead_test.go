package transport_test

import (
	"io"
	"net"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

func TestWhatWasReadAheadIsFetchedInAnyPiecesAndMayShrink(t *testing.T) {
	overEach(t, func(t *testing.T, s *transport.Stream, e *events, peer net.Conn) {
		text := strings.Repeat("0123456789", 40)
		memory, reads := s.Ahead(1000)
		assert.True(t, reads)
		assert.Equal(t, 1<<10, memory)
		require.False(t, s.Ready(1000))
		memory, _ = s.Ahead(1000)
		assert.Zero(t, memory, "the question is open")
		go func() {
			_, _ = io.WriteString(peer, text)
			_ = peer.Close()
		}()
		receive(t, e.readable)
		var got strings.Builder
		for _, room := range []int{10, 1, 100, 50, 1000} {
			var in transport.Input
			growth := s.Growth(&in, room)
			n, err := s.Fill(&in, room)
			require.NoError(t, err)
			require.LessOrEqual(t, n, room)
			assert.Equal(t, in.Held(), growth)
			got.Write(in.Bytes())
			in.Release()
			if room != 1000 {
				require.True(t, s.Ready(room), "there is more")
				memory, _ = s.Ahead(1000)
				assert.Zero(t, memory)
			}
			if room == 100 {
				s.Shrink()
				assert.Equal(t, 512, s.Growth(&in, 1000))
			}
		}
		memory, _ = s.Ahead(1000)
		assert.Positive(t, memory)
		var in transport.Input
		got.WriteString(rest(t, s, e.readable, &in))
		assert.Equal(t, text, got.String())
	})
}
