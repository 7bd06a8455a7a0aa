package storm

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/report"
)

// S1: goroutines write while the connection ends in one way or another. At every moment of the end,
// every accepted write is written or counted as unsent, and completes once and before Closed.
// Writes that reach the peer come whole and in order, except that the last one may be cut.
func TestWritersThatRaceWithTheEndOfTheirConnectionLoseNothing(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began, seed, rounds := time.Now(), drawSeed(t), of(100_000)
		var total counter
		var racing sync.WaitGroup
		tracks := 2 * runtime.GOMAXPROCS(0)
		for track := range tracks {
			r := &race{random: rand.New(rand.NewPCG(seed, uint64(track))), sockets: make(chan berth.Socket, 1), ends: make(chan berth.Closed, 1)}
			l, _ := listen(t, factoryOf(handler{accepted: r.open, closed: r.end}), berth.Options{Transport: transport})
			racing.Go(func() {
				for range (rounds + tracks - 1) / tracks {
					if t.Failed() {
						return
					}
					r.run(t, dial(t, l), &total)
				}
			})
		}
		racing.Wait()
		tell(t, report.Row{ID: "S1", Holds: "G3 G4", Seeds: strconv.FormatUint(seed, 10), Figures: map[string]any{
			"rounds": rounds, "accepted": total.accepted.Load(), "refused": total.refused.Load(), "violations": total.violations.Load(),
		}}, began)
	})
}

type counter struct{ accepted, refused, violations atomic.Int64 }

// race is a series of rounds, one connection each.
type race struct {
	random  *rand.Rand
	sockets chan berth.Socket
	ends    chan berth.Closed
	ended   atomic.Bool
}

func (r *race) open(s berth.Socket) error {
	r.ended.Store(false)
	r.sockets <- s
	return nil
}

func (r *race) end(c *berth.Closed) {
	r.ended.Store(true)
	r.ends <- *c
}

// Every write consists of its writer's number, its place in the order of that writer, its length,
// and that many bytes.
const (
	writers    = 3
	mostWrites = 20
	header     = 8
	biggest    = 2000
)

func (r *race) run(t *testing.T, peer *net.TCPConn, total *counter) {
	defer peer.Close()
	socket := <-r.sockets
	var accepted, bytes, completed, late, succeeded atomic.Int64
	var writing, reading sync.WaitGroup
	for w := range writers {
		sizes := make([]int, 1+r.random.IntN(mostWrites))
		for i := range sizes {
			sizes[i] = header + r.random.IntN(biggest)
		}
		writing.Go(func() {
			for i, size := range sizes {
				p := make([]byte, size)
				p[0], p[1] = byte(w), byte(i)
				binary.BigEndian.PutUint32(p[4:], uint32(size))
				err := socket.WriteOwned(p, func(err error) {
					completed.Add(1)
					if err == nil {
						succeeded.Add(int64(size))
					}
					if r.ended.Load() {
						late.Add(1)
					}
				})
				var reset *net.OpError // by the peer, which ended the connection
				switch {
				case err == nil:
					accepted.Add(1)
					bytes.Add(int64(size))
				case errors.Is(err, berth.ErrClosed), errors.As(err, &reset),
					errors.Is(err, berth.ErrWriteBufferFull), errors.Is(err, berth.ErrWriteQueueFull):
					total.refused.Add(1)
					return // a gap in the order would look like a loss
				default:
					t.Errorf("refused with %v", err)
					total.violations.Add(1)
				}
			}
		})
	}
	got := make(chan int64, 1)
	reads := r.random.IntN(4) > 0
	reading.Go(func() {
		if reads {
			got <- readInOrder(t, peer, total)
		}
	})
	for range r.random.IntN(200) {
		runtime.Gosched()
	}
	switch r.random.IntN(4) {
	case 0:
		_ = socket.Close()
	case 1:
		socket.Abort()
	case 2:
		_ = peer.SetLinger(0)
		_ = peer.Close()
	case 3:
		_ = peer.CloseWrite()
	}
	if !reads { // else Close would wait for the peer to take what was accepted
		_ = peer.SetLinger(0)
		_ = peer.Close()
	}
	writing.Wait()
	reading.Wait()
	_ = peer.Close() // after a Close of ours, a FIN is waited for
	closed := <-r.ends
	total.accepted.Add(accepted.Load())
	s := closed.Stats
	sound := assert.EqualValues(t, bytes.Load(), s.Written+s.Unsent, "accepted = written + unsent")
	sound = assert.Equal(t, accepted.Load(), completed.Load(), "each completes once") && sound
	sound = assert.Zero(t, late.Load(), "before Closed") && sound
	sound = assert.LessOrEqual(t, succeeded.Load(), int64(s.Written), "success means written") && sound
	if reads {
		sound = assert.LessOrEqual(t, <-got, int64(s.Written)) && sound
	}
	if !sound {
		total.violations.Add(1)
	}
}

// readInOrder reads to the end and returns how many bytes of whole writes came.
func readInOrder(t *testing.T, peer net.Conn, total *counter) (n int64) {
	in := bufio.NewReader(peer)
	var next [writers]byte
	for {
		var h [header]byte
		if _, err := io.ReadFull(in, h[:]); err != nil {
			return n
		}
		size := int64(binary.BigEndian.Uint32(h[4:]))
		if int(h[0]) >= writers || h[1] != next[h[0]] || size < header || size >= header+biggest {
			t.Errorf("not the next write of any writer: % x", h)
			total.violations.Add(1)
			return n
		}
		next[h[0]]++
		if _, err := io.CopyN(io.Discard, in, size-header); err != nil {
			return n
		}
		n += size
	}
}
