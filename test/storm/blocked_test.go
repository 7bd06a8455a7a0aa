package storm

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/report"
)

// S7: a handler that does not return does not keep a shutdown beyond its deadline, and is named.
func TestAShutdownNamesTheHandlerThatDoesNotReturn(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		entered, release := make(chan berth.Socket, 1), make(chan struct{})
		l, system := listenOnly(t, "127.0.0.1:0", factoryOf(handler{data: func(s berth.Socket, _ *berth.Buffer) error {
			entered <- s
			<-release
			return nil
		}}), berth.Options{Transport: transport})
		peer := dial(t, l)
		defer peer.Close()
		_, err := peer.Write([]byte("x"))
		require.NoError(t, err)
		stuck := <-entered

		const deadline = 200 * time.Millisecond
		began := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		err = l.Shutdown(ctx)
		took := time.Since(began)
		var late *berth.ShutdownError
		require.ErrorAs(t, err, &late)
		require.Len(t, late.Stuck, 1)
		assert.True(t, late.Stuck[0].Equal(stuck.PID()))
		close(release)
		<-l.Done()
		left := 0
		for _, bucket := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
			bucket.IterCb(func(id string, _ any) {
				if id != "deadletter" && id != "eventstream" {
					left++
				}
			})
		}
		report.Add(t, report.Row{ID: "S7", Holds: "G12", Figures: map[string]any{
			"deadline": deadline.String(), "returned after": took.Round(time.Millisecond).String(), "named": len(late.Stuck), "actors left once it returned": left,
		}, Duration: took})
		assert.Zero(t, left)
		require.NotErrorIs(t, err, context.DeadlineExceeded, "it is the server's own error")
	})
}
