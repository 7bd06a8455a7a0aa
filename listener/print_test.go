package listener

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program may log what it has at hand while the connection works: the race detector watches.
func TestHandlesArePrintedByTheirNamesAtAnyTime(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, e := newWorld(), newEcho()
		l := w.listen(t, of(e), o)
		c := dial(t, l)
		socket := receive(t, e.accepted)
		d, err := NewDialer(w.Root, Options{})
		require.NoError(t, err)
		defer d.Close()
		var working sync.WaitGroup
		working.Go(func() {
			for range 100 {
				echoes(t, c)
			}
		})
		for want, handle := range map[string]any{
			fmt.Sprintf("connection %s with %v", socket.PID().GetId(), c.LocalAddr()): socket,
			fmt.Sprintf("listener %s at %v", l.PID().GetId(), l.Addr()):               l,
			"dialer " + d.PID().GetId():                                               d,
		} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				assert.Equal(t, want, fmt.Sprintf(verb, handle), verb)
			}
		}
		working.Wait()
	})
}
