package listener

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// owner is an actor of the user's with a listener as a child; each incarnation listens on the same
// address.
type owner struct {
	options Options
	addr    *atomic.Value // string
	started chan *Listener
}

func (o *owner) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		l, err := Listen(ctx, o.addr.Load().(string), of(newEcho()), o.options)
		if err != nil {
			panic(err)
		}
		o.addr.Store(l.Addr().String())
		o.started <- l
	case string:
		panic("as told")
	}
}

func newOwner(options Options) *owner {
	o := &owner{options: options, addr: new(atomic.Value), started: make(chan *Listener, 10)}
	o.addr.Store(anyPort)
	return o
}

func TestTheOwnersEndIsTheListeners(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		w := newWorld()
		options.Connection = brisk
		o := newOwner(options)
		pid := w.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return o }))
		l := receive(t, o.started)
		assert.Contains(t, l.PID().Id, pid.Id+"/", "a child of its owner")
		c := dial(t, l)
		echoes(t, c)
		gone := make(chan error, 1)
		go func() { gone <- ends(c); _ = c.Close() }()
		w.Root.Stop(pid)
		require.NoError(t, receive(t, gone), "drained as always")
		receive(t, l.Done())
		eventually(t, func() bool { return len(w.actors()) == 0 })
	})
}

func TestAnOwnerThatIsRestartedListensOnTheSamePortAgain(t *testing.T) {
	overEach(t, func(t *testing.T, options Options) {
		w := newWorld()
		options.Connection = brisk
		o := newOwner(options)
		pid := w.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return o }))
		for range 3 {
			l := receive(t, o.started)
			c := dial(t, l)
			echoes(t, c)
			go func() { _ = ends(c); _ = c.Close() }()
			w.Root.Send(pid, "fail")
			receive(t, l.Done())
		}
		l := receive(t, o.started)
		echoes(t, dial(t, l))
		w.Root.Stop(pid)
		receive(t, l.Done())
		eventually(t, func() bool { return len(w.actors()) == 0 })
	})
}

// restart does what a supervisor does to a child that failed.
func restart(w *world, pid *actor.PID) {
	process, _ := w.ProcessRegistry.Get(pid)
	process.SendSystemMessage(pid, &actor.Restart{})
}

func TestAnAcceptorThatIsKilledComesBackAndNoConnectionNotices(t *testing.T) {
	for name, kill := range map[string]func(*world, *actor.PID){
		"restarted": restart,
		"stopped":   func(w *world, pid *actor.PID) { w.Root.Stop(pid) },
		"poisoned":  func(w *world, pid *actor.PID) { w.Root.Poison(pid) },
	} {
		t.Run(name, func(t *testing.T) {
			overEach(t, func(t *testing.T, o Options) {
				w := newWorld()
				l := w.listen(t, of(newEcho()), o)
				live := dial(t, l)
				echoes(t, live)
				for range 5 {
					kill(w, w.find(t, l, 2, ""))
					echoes(t, live)
					echoes(t, dial(t, l))
				}
				assert.EqualValues(t, 6, l.Info().Accepted)
				assert.Empty(t, published[*AcceptFailed](w))
			})
		})
	}
}

func TestAKilledAcceptorKeepsNoPermit(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnections = 2
		l := w.listen(t, of(newEcho()), o)
		for range 5 {
			w.Root.Stop(w.find(t, l, 2, ""))
			c := dial(t, l)
			echoes(t, c)
			_ = c.Close()
			eventually(t, func() bool { return l.Info().Open == 0 })
		}
		echoes(t, dial(t, l))
		echoes(t, dial(t, l))
	})
}

func TestAParentOfConnectionsThatIsKilledComesBackAndNoConnectionNotices(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Connection = brisk
		l := w.listen(t, of(newEcho()), o)
		live := dial(t, l)
		echoes(t, live)
		for range 3 {
			w.Root.Stop(w.find(t, l, 2, "/connections"))
			echoes(t, live)
			c := dial(t, l)
			echoes(t, c)
			_ = c.Close() // the end may not be counted
		}
		eventually(t, func() bool { return l.Info().Open == 1 })
		go func() { _ = ends(live); _ = live.Close() }()
		began := time.Now()
		require.NoError(t, l.Shutdown(within(t, patience)))
		assert.Less(t, time.Since(began), patience/2, "the end waits for no connection that has gone")
	})
}

func TestAConnectionOrAWriterThatIsKilledEndsItsConnectionOnly(t *testing.T) {
	for parts, name := range map[int]string{3: "connection", 4: "writer"} {
		t.Run(name, func(t *testing.T) {
			overEach(t, func(t *testing.T, o Options) {
				w, handler := newWorld(), newEcho()
				l := w.listen(t, of(handler), o)
				victim := dial(t, l)
				echoes(t, victim)
				pid := w.find(t, l, parts, "")
				other := dial(t, l)
				echoes(t, other)
				w.Root.Stop(pid)
				_ = ends(victim) // RST, or FIN where nothing was pending
				closed := receive(t, handler.closed)
				assert.Equal(t, protocol.ReasonStopped, closed.Reason)
				require.ErrorIs(t, closed.Err, protocol.ErrStopped)
				echoes(t, other)
				eventually(t, func() bool { return l.Info().Open == 1 })
			})
		})
	}
}

// C1, the short form: actors of the tree are killed under clients that check every byte.
func TestUnderChaosEveryClientIsServedOrToldAndTheListenerStays(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const clients, kills = 8, 60
		w := newWorld()
		o.Connection = brisk
		l := w.listen(t, of(&echo{}), o)
		stop := make(chan struct{})
		var served atomic.Int64
		var all sync.WaitGroup
		for range clients {
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					c, err := net.Dial("tcp", l.Addr().String())
					if errors.Is(err, syscall.ECONNRESET) {
						continue // killed before the dial had returned, and told so
					}
					if !assert.NoError(t, err) {
						return
					}
					_ = c.SetDeadline(time.Now().Add(patience))
					p := make([]byte, 1)
					for i := range 50 {
						if _, err = c.Write([]byte{byte(i)}); err != nil {
							break
						}
						if _, err = io.ReadFull(c, p); err != nil {
							break // killed, and told so
						}
						assert.EqualValues(t, i, p[0])
						served.Add(1)
					}
					_ = c.Close()
				}
			})
		}
		for killed := 0; killed < kills; {
			for _, id := range w.actors() {
				if id == l.PID().Id {
					continue
				}
				w.Root.Stop(w.NewLocalPID(id))
				before := served.Load()
				eventually(t, func() bool { return served.Load() > before })
				if killed++; killed%10 == 0 {
					break
				}
			}
		}
		close(stop)
		all.Wait()
		echoes(t, dial(t, l))
		require.NoError(t, l.Close())
		assert.Empty(t, w.actors())
	})
}
