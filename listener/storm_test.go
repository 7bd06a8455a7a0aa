package listener

import (
	"flag"
	"net"
	"path"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/test/report"
)

var shutdowns = flag.Int("shutdowns", 25, "how many listeners are shut down in a storm of dials")

// S3, G12: clients dial all the time, at some moment the listener is shut down. Nothing is left,
// whatever the moment.
func TestAShutdownInAStormOfDialsLeavesNothing(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const dialers = 4
		began, rounds := time.Now(), *shutdowns
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
						if n >= round%100/4 || err != nil {
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
		left := descriptors() - before
		assert.LessOrEqual(t, left, 0)
		goleak.VerifyNone(t, goleak.IgnoreCurrent())
		report.Add(t, report.Row{ID: "S3", Holds: "G12", Duration: time.Since(began), Figures: map[string]any{
			"shutdowns": rounds, "actors left": len(w.actors()), "descriptors left": max(0, left), "transport": path.Base(t.Name()),
		}})
	})
}
