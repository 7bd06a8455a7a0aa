package listener

import (
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// G12, the short form: clients dial all the time, at some moment the listener is shut down. Nothing is left, whatever the moment.
func TestAShutdownInAStormOfDialsLeavesNothing(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const rounds, dialers = 25, 4
		w := newWorld()
		o.Connection = brisk
		before := descriptors()
		for round := range rounds {
			l, err := Listen(w.Root, anyPort, of(&echo{}), o)
			require.NoError(t, err)
			enough := make(chan struct{})
			var once sync.Once
			var dialing sync.WaitGroup
			for range dialers {
				dialing.Go(func() {
					for n := 0; ; n++ {
						c, err := net.Dial("tcp", l.Addr().String())
						if n >= round/4 || err != nil {
							once.Do(func() { close(enough) })
						}
						if err != nil {
							return
						}
						_, _ = c.Write([]byte("x"))
						_ = c.SetReadDeadline(time.Now().Add(patience))
						_, _ = c.Read(make([]byte, 1))
						_ = c.Close()
					}
				})
			}
			<-enough
			if round%2 == 0 {
				require.NoError(t, l.Close())
			} else {
				_ = l.Shutdown(within(t, time.Second))
			}
			<-l.Done()
			require.Empty(t, w.actors())
			dialing.Wait()
		}
		assert.LessOrEqual(t, descriptors(), before)
		goleak.VerifyNone(t, goleak.IgnoreCurrent())
	})
}
