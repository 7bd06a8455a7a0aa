package storm

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/simnet"
)

// A7: the network between the two ends is cut. In the bubble the clock is exact.
func TestAPeerBehindACutNetworkIsGivenUpInTimeAndLosesNothingIfItHeals(t *testing.T) {
	const idle, stall = 10 * time.Second, 4 * time.Second
	for name, c := range map[string]struct {
		asks   bool          // whether the server has something to send when the network is cut
		cut    time.Duration // how long; 0: for ever
		reason berth.Reason
		within time.Duration
	}{
		"silent, for ever":      {false, 0, berth.ReasonIdleTimeout, idle},
		"writing, for ever":     {true, 0, berth.ReasonWriteTimeout, stall},
		"silent, for a moment":  {false, idle / 2, berth.ReasonPeerClosed, 0},
		"writing, for a moment": {true, stall / 2, berth.ReasonPeerClosed, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				system := berth.NewSystem(setup.Silent()...)
				net := simnet.Listen(simnet.Options{})
				sockets, ends := make(chan berth.Socket, 1), make(chan berth.Closed, 1)
				l, err := berth.ServeIn(system.Root, net, factoryOf(handler{
					accepted: func(s berth.Socket) error { sockets <- s; return nil },
					data:     func(s berth.Socket, b *berth.Buffer) error { _, err := s.Forward(b); return err },
					closed:   func(c *berth.Closed) { ends <- *c },
				}), berth.Options{Connection: berth.ConnectionOptions{IdleTimeout: idle, WriteTimeout: stall, CloseTimeout: time.Second, WriteBufferSize: 8 << 20}})
				require.NoError(t, err)
				peer, err := net.Dial(context.Background())
				require.NoError(t, err)
				socket := <-sockets

				peer.Partition()
				text := make([]byte, 4<<20) // more than the network holds
				if c.asks {
					_, err := socket.Write(text)
					require.NoError(t, err)
				} else {
					_, err := peer.Write(text[:1000])
					require.NoError(t, err)
					text = text[:1000]
				}
				cut := time.Now()
				lost := 0
				if c.cut > 0 {
					time.Sleep(c.cut)
					peer.Heal()
					_ = peer.CloseWrite()
					got, err := io.ReadAll(peer)
					require.NoError(t, err)
					lost = len(text) - len(got)
					assert.Zero(t, lost, "bytes")
				}
				closed := <-ends
				took := time.Since(cut)
				assert.Equal(t, c.reason, closed.Reason)
				if c.cut == 0 {
					assert.GreaterOrEqual(t, took, c.within)
					assert.Less(t, took, c.within+c.within/4)
				}
				_ = peer.Close()
				require.NoError(t, l.Close())
				report.Add(t, report.Row{ID: "A7", Holds: "G11 G3", Figures: map[string]any{
					"network cut": name, "ended with": closed.Reason.String(), "after": took.Round(time.Millisecond).String(), "bytes lost": lost,
				}, Duration: time.Since(began)})
				time.Sleep(2 * time.Second) // Proto.Actor's goroutine for dead letters
			})
		})
	}
}
