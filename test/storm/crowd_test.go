package storm

import (
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/report"
)

// A6: all clients dial at once. The peak of open connections is exactly the limit, and with Wait
// all clients are served in the end.
func TestOfACrowdNeverMoreAreServedAtOnceThanMay(t *testing.T) {
	for name, whenFull := range map[string]berth.WhenFull{"wait": berth.Wait, "reject": berth.Reject} {
		t.Run(name, func(t *testing.T) {
			overEach(t, func(t *testing.T, transport berth.Transport) {
				began, clients := time.Now(), of(10_000)
				most := max(5, clients/20)
				var open, peak, served atomic.Int64
				enter := func(berth.Socket) error {
					for now := open.Add(1); ; {
						if was := peak.Load(); now <= was || peak.CompareAndSwap(was, now) {
							return nil
						}
					}
				}
				l, _ := listen(t, factoryOf(handler{
					accepted: enter,
					data:     func(s berth.Socket, b *berth.Buffer) error { _, err := s.Forward(b); return err },
					closed:   func(*berth.Closed) { open.Add(-1) },
				}), berth.Options{
					Transport: transport, MaxConnections: most, WhenFull: whenFull,
					Connection: berth.ConnectionOptions{CloseTimeout: time.Second},
				})
				// Clients leave once the server is full, so that the peak is reached. A client that
				// came too late for that leaves at once.
				full := make(chan struct{})
				var once sync.Once
				var crowd sync.WaitGroup
				start := make(chan struct{})
				for range clients {
					crowd.Go(func() {
						<-start
						conn := dial(t, l)
						defer conn.Close()
						_, _ = conn.Write([]byte("x"))
						if _, err := io.ReadFull(conn, make([]byte, 1)); err != nil {
							return // sent away
						}
						if served.Add(1) >= int64(most) {
							once.Do(func() { close(full) })
						}
						<-full
					})
				}
				close(start)
				crowd.Wait()
				refused := uint64(0)
				for _, n := range l.Info().Refused {
					refused += n
				}
				tell(t, report.Row{ID: "A6", Holds: "G10", Figures: map[string]any{
					"when full": name, "clients": clients, "may be open": most, "peak": peak.Load(), "served": served.Load(), "refused": refused,
				}}, began)
				assert.EqualValues(t, most, peak.Load())
				if whenFull == berth.Wait {
					require.EqualValues(t, clients, served.Load())
				} else {
					require.EqualValues(t, clients, uint64(served.Load())+refused)
				}
			})
		})
	}
}
