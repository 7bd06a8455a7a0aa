package storm

import (
	"context"
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

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/report"
)

// W5: goroutines write to one slow peer in every way, by Write, by WriteContext and by PID, while
// the connection ends in one way or another. At every moment of the end, every accepted byte is
// written, unsent or dropped, every write by PID is answered, and no write goes on waiting.
func TestWritersToASlowPeerThatEndsLoseNothingAndWaitForNothing(t *testing.T) {
	overEach(t, func(t *testing.T, transport berth.Transport) {
		began, seed, rounds := time.Now(), drawSeed(t), of(10_000)
		policies := []berth.SlowPolicy{berth.SlowRefuse, berth.SlowClose, berth.SlowDropNewest}
		var total slowCounter
		var racing sync.WaitGroup
		tracks := len(policies)
		for track := range tracks {
			r := &slowRace{random: rand.New(rand.NewPCG(seed, uint64(track))), sockets: make(chan berth.Socket, 1), ends: make(chan berth.Closed, 1)}
			h := handler{
				accepted: func(s berth.Socket) error { r.sockets <- s; return nil },
				closed:   func(c *berth.Closed) { r.ends <- *c },
			}
			l, system := listen(t, factoryOf(h), berth.Options{
				Transport: transport, SendBufferSize: 4 << 10,
				Connection: berth.ConnectionOptions{WriteBufferSize: 8 << 10, WriteQueueSize: 8, SlowConsumer: policies[track]},
			})
			r.system = system
			r.sender = system.Root.Spawn(actor.PropsFromFunc(r.told))
			racing.Go(func() {
				for range (rounds + tracks - 1) / tracks {
					if t.Failed() {
						return
					}
					r.run(t, dial(t, l), &total)
				}
				assert.NoError(t, system.Root.StopFuture(r.sender).Wait())
			})
		}
		racing.Wait()
		tell(t, report.Row{ID: "W5", Holds: "G3 G13 G15", Seeds: strconv.FormatUint(seed, 10), Figures: map[string]any{
			"rounds": rounds, "accepted bytes": total.accepted.Load(), "refused": total.refused.Load(), "cut short": total.cut.Load(),
			"violations": total.violations.Load(),
		}}, began)
	})
}

// slowCounter counts accepted bytes, writes that found no room, and waiting writes that did not
// finish.
type slowCounter struct{ accepted, refused, cut, violations atomic.Int64 }

// slowRace is a series of rounds, one connection each.
type slowRace struct {
	random  *rand.Rand
	sockets chan berth.Socket
	ends    chan berth.Closed
	system  *actor.ActorSystem
	sender  *actor.PID

	// Of the round under way.
	accepted atomic.Int64 // bytes
	unsure   atomic.Int64 // bytes of writes by PID that failed
	answered atomic.Int64 // writes by PID
}

// told counts the answers to the sender of writes by PID.
func (r *slowRace) told(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *berth.Written:
		r.accepted.Add(int64(m.Ack.(int)))
		r.answered.Add(1)
	case *berth.WriteFailed:
		r.unsure.Add(int64(m.Token.(int)))
		r.answered.Add(1)
	case *actor.DeadLetterResponse:
		r.answered.Add(1)
	}
}

func (r *slowRace) run(t *testing.T, peer *net.TCPConn, total *slowCounter) {
	defer peer.Close()
	socket := <-r.sockets
	r.accepted.Store(0)
	r.unsure.Store(0)
	r.answered.Store(0)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if r.random.IntN(3) == 0 {
		limit := time.Duration(r.random.IntN(5)) * time.Millisecond
		time.AfterFunc(limit, cancel)
	}
	sent := 1 + r.random.IntN(30)
	var writing, reading sync.WaitGroup
	for _, write := range []func(){
		func() { r.writes(t, socket, total) },
		func() { r.writes(t, socket, total) },
		func() { r.waits(ctx, t, socket, total) },
		func() { r.waits(ctx, t, socket, total) },
		func() { r.waits(context.Background(), t, socket, total) },
		func() { r.mails(socket, sent) },
	} {
		writing.Go(write)
	}
	got, fin, reads := int64(0), false, r.random.IntN(4) > 0
	if reads {
		reading.Go(func() { got, fin = readSlowly(peer) })
	}
	for range r.random.IntN(60) {
		runtime.Gosched()
	}
	switch r.random.IntN(5) {
	case 0:
		_ = socket.Close()
	case 1:
		socket.Abort()
	case 2:
		_ = peer.SetLinger(0)
		_ = peer.Close()
	case 3:
		_ = peer.CloseWrite()
	case 4:
		r.system.Root.Stop(socket.PID())
	}
	if !reads { // else Close would wait for what was accepted to be taken
		_ = peer.SetLinger(0)
		_ = peer.Close()
	}
	r.joins(t, &writing)
	reading.Wait()
	_ = peer.Close() // after a Close of ours, a FIN is waited for
	closed := <-r.ends
	require.Eventually(t, func() bool { return r.answered.Load() == int64(sent) }, patience, 100*time.Microsecond, "every write by PID is answered")
	total.accepted.Add(r.accepted.Load())
	s := closed.Stats
	accounted, accepted := int64(s.Written+s.Unsent+s.Dropped), r.accepted.Load()
	sound := assert.GreaterOrEqual(t, accounted, accepted, "what was accepted is accounted for")
	sound = assert.LessOrEqual(t, accounted, accepted+r.unsure.Load(), "nothing else is") && sound
	sound = assert.LessOrEqual(t, got, int64(s.Written)) && sound
	if fin && closed.Err == nil {
		sound = assert.Equal(t, int64(s.Written), got, "before an orderly FIN comes everything") && sound
	}
	if !sound {
		total.violations.Add(1)
	}
}

// joins waits for the writers: each ends with its connection at the latest.
func (r *slowRace) joins(t *testing.T, writing *sync.WaitGroup) {
	joined := make(chan struct{})
	go func() { defer close(joined); writing.Wait() }()
	select {
	case <-joined:
	case <-time.After(patience):
		buffer := make([]byte, 1<<20)
		t.Errorf("a write goes on waiting\n%s", buffer[:runtime.Stack(buffer, true)])
		<-joined
	}
}

func ended(err error) bool {
	return errors.Is(err, berth.ErrClosed) || connectionReset(err)
}

// connectionReset reports that err is an error of the network.
func connectionReset(err error) bool {
	_, ok := errors.AsType[*net.OpError](err)
	return ok
}

func lacksRoom(err error) bool {
	return errors.Is(err, berth.ErrWriteQueueFull) || errors.Is(err, berth.ErrWriteBufferFull)
}

// writes writes without waiting.
func (r *slowRace) writes(t *testing.T, socket berth.Socket, total *slowCounter) {
	for i := range 40 {
		p := make([]byte, 1+i*i)
		n, err := socket.Write(p)
		r.accepted.Add(int64(n))
		switch {
		case err == nil:
		case lacksRoom(err):
			total.refused.Add(1)
			runtime.Gosched()
		case ended(err):
			return
		default:
			t.Errorf("refused with %v", err)
			return
		}
	}
}

// waits writes more than fits at once.
func (r *slowRace) waits(ctx context.Context, t *testing.T, socket berth.Socket, total *slowCounter) {
	for i := range 6 {
		n, err := socket.WriteContext(ctx, make([]byte, 1+i*4<<10))
		r.accepted.Add(int64(n))
		switch {
		case err == nil:
		case errors.Is(err, context.Canceled), ended(err):
			total.cut.Add(1)
			return
		default:
			t.Errorf("did not wait: %v", err)
			return
		}
	}
}

// mails writes by PID.
func (r *slowRace) mails(socket berth.Socket, writes int) {
	for i := range writes {
		n := 1 + 50*i
		r.system.Root.RequestWithCustomSender(socket.PID(), &berth.Write{Data: make([]byte, n), Ack: n, Token: n}, r.sender)
	}
}

// readSlowly reads to the end, a little at a time. fin: the end was the server's FIN.
func readSlowly(peer net.Conn) (n int64, fin bool) {
	b := make([]byte, 700)
	for {
		k, err := peer.Read(b)
		n += int64(k)
		if err != nil {
			return n, err == io.EOF
		}
	}
}
