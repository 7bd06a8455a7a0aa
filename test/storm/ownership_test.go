package storm

import (
	"bytes"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/report"
)

// S6: a handler may change memory as documented. It may change the bytes it is shown during the
// call, even after it wrote them, because Write copies. It may change its own slice after Write. A
// slice that it gave away by WriteOwned is not changed. Built with the tag berthdebug, memory that
// was given back is overwritten, so code that still read it would answer with other bytes.
func TestHandlersThatScribbleOverTheirMemoryChangeNoOtherBytes(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		const clients, size = 8, 64
		began, messages := time.Now(), of(1_000_000)/clients
		var mu sync.Mutex
		own := map[string][]byte{} // slices given away, by content
		l, _ := listen(t, factoryOf(handler{data: func(s berth.Socket, b *berth.Buffer) error {
			shown := b.Bytes()
			if len(shown) < size {
				return nil
			}
			if _, err := s.Write(shown[:size/2]); err != nil {
				return err
			}
			given := bytes.Clone(shown[size/2 : size])
			if err := s.WriteOwned(given, nil); err != nil {
				return err
			}
			if shown[0]%64 == 0 {
				mu.Lock()
				own[string(given)] = given
				mu.Unlock()
			}
			clear(shown)
			b.Discard(size)
			return nil
		}}), berth.Options{Transport: transport})
		var asking sync.WaitGroup
		for c := range clients {
			asking.Go(func() {
				conn := dial(t, l)
				defer conn.Close()
				message, back := make([]byte, size), make([]byte, size)
				for i := range messages {
					for j := range message {
						message[j] = byte(i>>(8*(j%4))) + byte(c*j)
					}
					_ = conn.SetDeadline(time.Now().Add(patience))
					_, err := conn.Write(message)
					if err == nil {
						_, err = io.ReadFull(conn, back)
					}
					if !assert.NoError(t, err) || !assert.Equal(t, message, back) {
						return
					}
				}
			})
		}
		asking.Wait()
		mu.Lock()
		defer mu.Unlock()
		changed := 0
		for was, is := range own {
			if was != string(is) {
				changed++
			}
		}
		tell(t, report.Row{ID: "S6", Holds: "the docs of Buffer and Write", Figures: map[string]any{
			"messages": messages * clients, "slices looked at again": len(own), "changed": changed,
		}}, began)
		require.Zero(t, changed)
	})
}
