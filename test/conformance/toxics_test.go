package conformance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/faultnet"
	"github.com/go-berth/berth/test/simnet"
)

// The toxics of faultnet between the stream transport and its peers, alone and in pairs. World.end
// holds G1, G3 and G4 for each connection.

// gentle are the toxics that end no connection: all that is sent arrives.
var gentle = map[string]faultnet.Toxic{
	"noop":       faultnet.Noop{},
	"latency":    faultnet.Latency{Delay: 200 * time.Millisecond, Jitter: 100 * time.Millisecond},
	"bandwidth":  faultnet.Bandwidth{BytesPerSecond: 5000},
	"slow close": faultnet.SlowClose{Delay: 3 * time.Second},
	"slicer":     faultnet.Slicer{Size: 20, Variation: 15, Delay: time.Millisecond},
}

// harsh are the toxics that end connections.
var harsh = map[string]faultnet.Toxic{
	"timeout":    faultnet.Timeout{After: 2 * time.Second},
	"reset peer": faultnet.ResetPeer{After: 2 * time.Second},
	"limit data": faultnet.LimitData{Bytes: 7777},
}

// underToxics serves an echo over connections that go through toxics. Its limits of time are short,
// so that connections end that would never end by themselves.
func underToxics(t *testing.T, seed uint64, toxics []faultnet.Toxic, test func(w *world, s *server)) {
	t.Helper()
	inBubble(t, func(t *testing.T, w *world) {
		network := faultnet.NewNetwork(seed, toxics...)
		sim := simnet.Listen(simnet.Options{})
		options := connection.Options{IdleTimeout: time.Minute, WriteTimeout: 30 * time.Second, CloseTimeout: 10 * time.Second}
		s := w.serveOn(network.Listener(sim), func() (net.Conn, error) { return sim.Dial(context.Background()) }, script{data: echo}, only(options))
		test(w, s)
		s.finish(t, func() { _ = s.Close() })
		network.Close()
		for _, c := range w.clients {
			_ = c.Close()
		}
		assert.Zero(t, sim.Open(), "sockets left")
	})
}

// exchange sends text in pieces and half-closes, reads until the end, and returns what came back
// and how the reading ended.
func exchange(p *peer, text string, random *rand.Rand) (back string, err error) {
	go func() {
		for rest := text; rest != ""; {
			n := min(len(rest), 1+random.IntN(1<<(3+random.IntN(15))))
			if _, err := io.WriteString(p.Conn, rest[:n]); err != nil {
				return
			}
			rest = rest[n:]
		}
		_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
	}()
	p.patiently()
	b, err := io.ReadAll(p.Conn)
	return string(b), err
}

func TestToxicsThatEndNothingLoseNothing(t *testing.T) {
	for says, toxic := range gentle {
		t.Run(says, func(t *testing.T) {
			underToxics(t, 1, []faultnet.Toxic{toxic}, func(w *world, s *server) {
				text := pattern(20_000)
				p, tape := s.connect()
				back, err := exchange(p, text, rand.New(rand.NewPCG(1, 1)))
				require.NoError(t, err)
				same(t, text, back)
				p.close()
				closed := tape.ended()
				assert.Equal(t, protocol.ReasonPeerClosed, closed.Reason)
				assert.Equal(t, protocol.Stats{Read: uint64(len(text)), Written: uint64(len(text)), Duration: closed.Stats.Duration}, closed.Stats)
				same(t, text, tape.seen())
			})
		})
	}
}

func TestToxicsThatEndAConnectionEndThatOne(t *testing.T) {
	for says, want := range map[string]struct {
		reason protocol.Reason
		end    error // as the client sees it
	}{
		"timeout":    {protocol.ReasonPeerClosed, nil}, // by FIN, at both ends
		"reset peer": {protocol.ReasonPeerReset, syscall.ECONNRESET},
		"limit data": {protocol.ReasonPeerClosed, nil},
	} {
		t.Run(says, func(t *testing.T) {
			underToxics(t, 1, []faultnet.Toxic{harsh[says]}, func(w *world, s *server) {
				text := pattern(20_000)
				p, tape := s.connect()
				back, err := exchange(p, text, rand.New(rand.NewPCG(1, 1)))
				if want.end == nil {
					assert.True(t, err == nil || errors.Is(err, syscall.ECONNRESET), "%v", err) // bytes after the close are answered by RST
				} else {
					assert.ErrorIs(t, err, want.end)
				}
				p.close()
				closed := tape.ended()
				assert.Contains(t, []protocol.Reason{want.reason, protocol.ReasonPeerReset}, closed.Reason, "%v", closed.Err)
				assertPrefixes(t, text, tape.seen(), back)
				if says == "limit data" {
					assert.Len(t, tape.seen(), 7777, "all that was let through")
				}
			})
		})
	}
}

// assertPrefixes requires that the handler saw a prefix of the client's bytes, and that the client
// got a prefix of the handler's.
func assertPrefixes(t *testing.T, sent, seen, back string) {
	t.Helper()
	assert.True(t, strings.HasPrefix(sent, seen), "the handler saw other bytes than were sent")
	assert.True(t, strings.HasPrefix(seen, back), "the client got other bytes than the handler wrote")
}

// Pairs of toxics, drawn by seed, for one direction or both, with attributes of their own, and
// several clients at once.
func TestUnderPairsOfToxicsWhatArrivesIsABeginningOfWhatWasSent(t *testing.T) {
	for seed := *firstSeed; seed < *firstSeed+*seeds; seed++ {
		random := rand.New(rand.NewPCG(seed, 7))
		toxics := []faultnet.Toxic{faultnet.RandomToxic(random), faultnet.RandomToxic(random)}
		underToxics(t, seed, toxics, func(w *world, s *server) {
			done := make(chan struct{})
			const clients = 3
			for range clients {
				text := pattern(random.IntN(30_000))
				p := s.client()
				own := rand.New(rand.NewPCG(seed, random.Uint64()))
				leaves := time.Duration(random.Int64N(int64(5 * time.Minute)))
				go func() {
					defer func() { done <- struct{}{} }()
					if own.IntN(3) == 0 { // some go before they are done
						time.AfterFunc(leaves, func() { _ = p.Conn.Close() })
					}
					back, _ := exchange(p, text, own)
					_ = p.Conn.Close()
					assert.True(w.t, strings.HasPrefix(text, back), "other bytes than were sent")
				}()
			}
			for range clients {
				<-done
			}
			for len(s.accepted) > 0 { // of those that were accepted, every one has an end
				(<-s.accepted).ended()
			}
		})
		if t.Failed() {
			t.Fatalf("seed %d: go test -run '^%s$' ./test/conformance -faults.seed %[1]d -faults.seeds 1: %[3]s", seed, t.Name(), describe(toxics))
		}
	}
}

func describe(toxics []faultnet.Toxic) string {
	var all []string
	for _, toxic := range toxics {
		all = append(all, fmt.Sprintf("%#v", toxic))
	}
	return strings.Join(all, ", ")
}
