package storm

import (
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/report"
)

// S8: many clients connect, are all connected at once, and leave. The listener goes on, and nothing
// of them is left.
func TestOfManyClientsThatCameAndWentNothingIsLeft(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began, clients := time.Now(), of(10_000)
		echo := handler{data: func(s berth.Socket, b *berth.Buffer) error { _, err := s.Forward(b); return err }}
		l, system := listen(t, factoryOf(echo), berth.Options{Transport: transport})
		wave := min(clients, 4000) // both ends are in this process, and its files have a limit
		comeAndGo(t, l, min(wave, 100))
		actors, files, goroutines := system.ProcessRegistry.LocalPIDs, setup.Descriptors(), runtime.NumGoroutine()
		count := func() (n int) {
			for _, bucket := range actors.LocalPIDs {
				n += bucket.Count()
			}
			return n
		}
		before := count()
		for left := clients; left > 0; left -= wave {
			comeAndGo(t, l, min(wave, left))
		}
		left := func() (int, int, int) {
			return max(0, count()-before), max(0, setup.Descriptors()-files), max(0, runtime.NumGoroutine()-goroutines)
		}
		// Idle goroutines of pools and loops stay for a while: at most that many.
		const idle = 80
		require.Eventually(t, func() bool { a, f, g := left(); return a == 0 && f == 0 && g <= idle }, patience, 10*time.Millisecond)
		a, f, g := left()
		require.NoError(t, l.Close())
		tell(t, report.Row{ID: "S8", Holds: "G12", Figures: map[string]any{
			"clients": clients, "actors left": a, "descriptors left": f, "goroutines kept idle": g, "goroutines left after Close": max(0, runtime.NumGoroutine()-goroutines),
		}}, began)
	})
}

// comeAndGo connects n clients, waits for an answer to each, and disconnects them.
func comeAndGo(t *testing.T, l *berth.Server, n int) {
	conns := make([]net.Conn, n)
	var coming sync.WaitGroup
	for part := range 16 {
		coming.Go(func() {
			for i := part; i < n; i += 16 {
				conn := dial(t, l)
				_, err := conn.Write([]byte("x"))
				assert.NoError(t, err)
				_, err = io.ReadFull(conn, make([]byte, 1))
				assert.NoError(t, err)
				conns[i] = conn
			}
		})
	}
	coming.Wait()
	for _, conn := range conns {
		_ = conn.Close()
	}
	require.Eventually(t, func() bool { return l.Info().Open == 0 }, patience, time.Millisecond)
}
