package clients

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/reconnect"
	"github.com/go-berth/berth/requests"
)

// kernel is the size of the kernel's buffers, small enough for writes to be cut off in the middle.
const kernel = 4096

func formatSeed(seed uint64) string { return strconv.FormatUint(seed, 10) }

// ledger is what the server has read: whole lines, each a number, by connection.
type ledger struct {
	t    *testing.T
	mu   sync.Mutex
	read map[int]int // how often
	high map[berth.Socket]int
}

// Data reads the lines, and sends each back where echo is set.
func (g *ledger) handler(echo bool) berth.Factory {
	return berth.HandlerFunc(func(s berth.Socket, b *berth.Buffer) error {
		for {
			line, whole := b.ReadLine()
			if !whole {
				return nil
			}
			n, err := strconv.Atoi(string(bytes.TrimLeft(line, " ")))
			if !assert.NoError(g.t, err) {
				return err
			}
			g.mu.Lock()
			g.read[n]++
			assert.True(g.t, echo || n > g.high[s], "in order") // requests come from several goroutines
			g.high[s] = n
			g.mu.Unlock()
			if echo {
				if _, err := fmt.Fprintf(s, "%d\n", n); err != nil {
					return err
				}
			}
		}
	})
}

// restarting runs a server at one address, and ends it in the middle of its work, again and again.
// begun is called once it is up for the first time. It ends after up to most bytes.
func restarting(t *testing.T, transport berth.Transport, handler berth.Factory, begun func(addr string), most int, random *rand.Rand) {
	t.Helper()
	system := newSystem()
	addr := "127.0.0.1:0"
	for n := 0; n <= *restarts; n++ {
		server, err := berth.ListenIn(system.Root, addr, handler, berth.Options{Transport: transport, RecvBufferSize: kernel})
		require.NoError(t, err)
		addr = server.Addr().String()
		if n == 0 {
			begun(addr)
		}
		require.NoError(t, server.WaitConnections(t.Context(), func(open int) bool { return open > 0 }))
		if n == *restarts {
			t.Cleanup(func() { _ = server.Close() })
			return
		}
		before := server.Info().Read
		some := uint64(random.IntN(most))
		require.Eventually(t, func() bool { return server.Info().Read-before >= some }, patience, time.Millisecond)
		if random.IntN(2) == 0 {
			_ = server.Close() // resets
		} else {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
			_ = server.Shutdown(ctx) // the client does not fall silent: it ends in the middle
			cancel()
		}
		<-server.Done()
	}
}

// A client writes without a pause while its server is restarted. Each write gets one outcome, and
// the outcome agrees with what the server has read.
func TestEveryWriteIsAccountedForOverRestarts(t *testing.T) {
	for name, transport := range transports() {
		t.Run(name, func(t *testing.T) {
			began, seed := time.Now(), drawSeed(t)
			random := rand.New(rand.NewPCG(seed, 0))
			g := &ledger{t: t, read: map[int]int{}, high: map[berth.Socket]int{}}
			d, err := berth.NewDialerIn(newSystem().Root, berth.Options{Transport: transport, SendBufferSize: kernel})
			require.NoError(t, err)
			defer d.Close()

			var mu sync.Mutex
			outcomes := map[int]reconnect.Outcome{}
			idempotent := func(n int) bool { return n%5 == 0 }
			stop := make(chan struct{})
			var client *reconnect.Client
			var writing sync.WaitGroup
			written := 0
			write := func() {
				for n := 1; ; n++ {
					select {
					case <-stop:
						written = n - 1
						return
					default:
					}
					err := client.Send(reconnect.Write{
						Data: fmt.Appendf(nil, "%200d\n", n), Idempotent: idempotent(n),
						Done: func(outcome reconnect.Outcome, _ error) {
							mu.Lock()
							defer mu.Unlock()
							_, twice := outcomes[n]
							assert.False(t, twice, "write %d has two outcomes", n)
							outcomes[n] = outcome
						},
					})
					if errors.Is(err, reconnect.ErrOutboxFull) {
						n--
						time.Sleep(time.Millisecond) // the writer's own pace; nothing waits for it
						continue
					}
					assert.NoError(t, err)
				}
			}
			restarting(t, transport, g.handler(false), func(addr string) {
				client, err = reconnect.New(t.Context(), d, addr, berth.HandlerFunc(func(berth.Socket, *berth.Buffer) error { return nil }),
					reconnect.Options{MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond})
				require.NoError(t, err)
				writing.Go(write)
			}, 500_000, random)
			close(stop)
			writing.Wait()
			require.NoError(t, client.Flush(t.Context()))
			_ = client.Close()
			<-client.Done()
			last := func() bool { g.mu.Lock(); defer g.mu.Unlock(); return g.read[written] > 0 }
			require.Eventually(t, last, patience, time.Millisecond, "the last write has come")

			g.mu.Lock()
			defer g.mu.Unlock()
			counts := map[string]int{}
			for n := 1; n <= written; n++ {
				outcome, told := outcomes[n]
				require.True(t, told, "write %d", n)
				counts[outcome.String()]++
				read := g.read[n]
				switch {
				case read > 1:
					assert.True(t, idempotent(n), "write %d came %d times", n, read)
					counts["idempotent, read twice"]++
				case read == 0 && outcome == reconnect.Written:
					counts["written and lost in the kernel"]++
				case read == 1 && outcome == reconnect.MaybeSent:
					counts["maybe sent and read"]++
				}
				assert.False(t, read > 0 && outcome == reconnect.NeverSent, "write %d was never sent, and read", n)
			}
			assert.Len(t, outcomes, written)
			info := client.Info()
			assert.EqualValues(t, written, info.Written+info.NeverSent+info.MaybeSent)
			assert.GreaterOrEqual(t, int(info.Connections), *restarts+1)
			figures := asAny(counts)
			figures["writes"], figures["restarts"], figures["connections"], figures["attempts"] = written, *restarts, info.Connections, info.Attempts
			tell(t, "L2", "G3, G4", figures, seed, began, *restarts < 20)
		})
	}
}

// Requests in a pipeline over a client that connects again: each ends once, with its own answer or
// with an error.
func TestEveryRequestEndsOverRestarts(t *testing.T) {
	for name, transport := range transports() {
		t.Run(name, func(t *testing.T) {
			began, seed := time.Now(), drawSeed(t)
			random := rand.New(rand.NewPCG(seed, 0))
			g := &ledger{t: t, read: map[int]int{}, high: map[berth.Socket]int{}}
			d, err := berth.NewDialerIn(newSystem().Root, berth.Options{Transport: transport, SendBufferSize: kernel})
			require.NoError(t, err)
			defer d.Close()
			pipeline := requests.NewPipeline(func() requests.Read[string] {
				lines := frame.Lines{Max: 1024}
				return func(b *berth.Buffer) (string, error) {
					line, err := lines.Next(b)
					return string(line), err
				}
			}, nil, requests.Options{})

			var mu sync.Mutex
			ended, next, answered, failed, refused := 0, 0, 0, 0, 0
			var number atomic.Int64
			stop := make(chan struct{})
			var client *reconnect.Client
			var asking sync.WaitGroup
			ask := func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					n := strconv.FormatInt(number.Add(1), 10)
					err := pipeline.Start([]byte(n+"\n"), 0, func(answer string, err error) {
						mu.Lock()
						defer mu.Unlock()
						ended++
						if err != nil {
							failed++
							return
						}
						answered++
						assert.Equal(t, n, answer)
					})
					mu.Lock()
					if err == nil {
						next++
					} else {
						refused++
					}
					mu.Unlock()
					if err != nil {
						time.Sleep(100 * time.Microsecond) // the asker's own pace; nothing waits for it
					}
				}
			}
			restarting(t, transport, g.handler(true), func(addr string) {
				client, err = reconnect.New(t.Context(), d, addr, pipeline.Handler(nil),
					reconnect.Options{MinBackoff: time.Millisecond, MaxBackoff: 20 * time.Millisecond})
				require.NoError(t, err)
				for range 4 {
					asking.Go(ask)
				}
			}, 40_000, random)
			close(stop)
			asking.Wait()
			require.Eventually(t, func() bool { return pipeline.Outstanding() == 0 }, patience, time.Millisecond)
			_ = client.Close()
			<-client.Done()
			mu.Lock()
			defer mu.Unlock()
			assert.Equal(t, next, ended, "each ends once")
			assert.Positive(t, answered)
			assert.Zero(t, pipeline.Late())
			figures := map[string]any{"requests": next, "answered": answered, "failed": failed, "refused": refused, "restarts": *restarts}
			tell(t, "L3", "G3, G4", figures, seed, began, *restarts < 20)
		})
	}
}
