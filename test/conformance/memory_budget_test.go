package conformance

import (
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// MemoryBudget: the connections of a listener together hold no more than that. The connections that
// hold the most wait first. No connection waits for ever.

// budget returns options with the given memory for all. Handlers may leave a full read buffer
// unread.
func budget(bytes int64) listener.Options {
	return listener.Options{MemoryBudget: bytes, Connection: connection.Options{HoldFullReadBuffer: true, IdleTimeout: -1}}
}

// hoarder is a script with handlers that hold their input until they may consume it. Input that
// begins with an m is sent back.
func hoarder(mayGo *atomic.Bool, look func()) script {
	return script{data: func(t *tape, b *protocol.Buffer) error {
		look()
		switch {
		case b.Peek(1)[0] == 'm':
			return t.say(string(b.Next(b.Len())))
		case mayGo.Load():
			b.Discard(b.Len())
		}
		return nil
	}}
}

// free waits until nothing of the budget is held any more and no connection waits.
func (s *server) free() {
	s.w.t.Helper()
	s.eventually("an empty budget", func(i protocol.ListenerInfo) bool { return i.BufferedBytes == 0 && i.Throttled == 0 })
}

func (s *server) eventually(what string, is func(protocol.ListenerInfo) bool) {
	s.w.t.Helper()
	for limit := time.Now().Add(s.w.patience()); !is(s.Info()); s.w.yield() {
		require.True(s.w.t, time.Now().Before(limit), "waited in vain for %s: %+v", what, s.Info())
	}
}

func TestGreedyClientsStayWithinTheBudget(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const clients, greed, total = 1000, 8 << 10, 4 << 20
		var s *server
		var mayGo atomic.Bool
		var peak atomic.Int64
		s = w.listen(hoarder(&mayGo, func() {
			held := s.Info().BufferedBytes
			for most := peak.Load(); held > most && !peak.CompareAndSwap(most, held); most = peak.Load() {
				continue
			}
		}), budget(total))
		var sending sync.WaitGroup
		var tapes []*tape
		for range clients {
			p, tape := s.connect()
			tapes = append(tapes, tape)
			sending.Go(func() { p.send(strings.Repeat("g", greed)) })
		}
		time.Sleep(time.Second)
		synctest.Wait()

		unread := 0
		for _, tape := range tapes {
			unread += len(tape.seen())
		}
		info := s.Info()
		assert.LessOrEqual(t, peak.Load(), int64(total), "at no handler call was more held than the budget")
		assert.Greater(t, info.BufferedBytes, int64(total)/5*4, "and it is used")
		assert.LessOrEqual(t, int64(unread), info.BufferedBytes, "no byte is unread and not counted")
		assert.Greater(t, int64(unread), int64(total)/3, "and not much is counted that is not there")
		assert.Greater(t, info.Throttled, clients/4)

		modest, _ := s.connect()
		began := time.Now()
		for range 20 {
			modest.send("modest")
			modest.expect("modest")
		}
		assert.Less(t, time.Since(began), 20*connection.ReclaimInterval, "20 answers, while a thousand wait")
		assert.LessOrEqual(t, peak.Load(), int64(total))

		mayGo.Store(true)
		for _, tape := range tapes {
			tape.socket.Resume()
		}
		for _, tape := range tapes {
			tape.sees(strings.Repeat("g", greed))
		}
		sending.Wait()
		s.free()
		assert.LessOrEqual(t, peak.Load(), int64(total))
	})
}

// A connection that cannot be served because others hold the whole budget is served once the
// largest holders have been ended.
func TestAConnectionThatHoldsTheBudgetAndLetsNothingGoIsEnded(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const clients, greed, total, timeout = 300, 8 << 10, 256 << 10, 7 * time.Second
		o := budget(total)
		o.MemoryTimeout = timeout
		published := w.budgetEvents()
		var mayGo atomic.Bool
		s := w.listen(hoarder(&mayGo, func() {}), o)
		var peers []*peer
		var tapes []*tape
		for range clients {
			p, tape := s.connect()
			_, err := p.Write(make([]byte, greed))
			require.NoError(t, err)
			peers, tapes = append(peers, p), append(tapes, tape)
		}
		modest, _ := s.connect()
		began := time.Now()
		modest.send("modest")
		modest.expect("modest")
		assert.GreaterOrEqual(t, time.Since(began), timeout-time.Second)
		assert.LessOrEqual(t, time.Since(began), timeout+time.Second)

		time.Sleep(100 * timeout)
		mayGo.Store(true) // while a buffer stays full, not even the end is read
		for i, p := range peers {
			tapes[i].socket.Resume()
			_ = p.Close()
		}
		ended, shown := 0, 0
		for _, tape := range tapes {
			closed := tape.ended()
			if closed.Reason == protocol.ReasonMemoryBudget {
				assert.Equal(t, protocol.ErrMemoryBudget, closed.Err)
				ended++
			} else if tape.count("data") > 0 {
				shown++
			}
		}
		assert.Positive(t, ended)
		assert.Equal(t, clients, ended+shown, "who was not ended has been read")
		modest.send("modest")
		modest.expect("modest")
		s.free()
		time.Sleep(time.Second)
		high, low := published()
		assert.Positive(t, high)
		assert.Equal(t, high, low, "what began has ended")
	})
}

// budgetEvents counts the events of the budget, and checks that they alternate.
func (w *world) budgetEvents() (count func() (high, low int)) {
	var mu sync.Mutex
	var high, low int
	subscription := w.system.EventStream.Subscribe(func(event any) {
		mu.Lock()
		defer mu.Unlock()
		switch e := event.(type) {
		case *listener.BudgetHigh:
			assert.Equal(w.t, high, low)
			assert.LessOrEqual(w.t, e.Buffered, e.Budget)
			high++
		case *listener.BudgetLow:
			low++
			assert.Equal(w.t, high, low)
			assert.LessOrEqual(w.t, e.Buffered, e.Budget*6/10)
		}
	})
	w.t.Cleanup(func() { w.system.EventStream.Unsubscribe(subscription) })
	return func() (int, int) {
		mu.Lock()
		defer mu.Unlock()
		return high, low
	}
}

func TestAWriteBeyondTheBudgetIsRefusedAndOthersAreServed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		const total, piece = 2 * stallSize, 50_000
		o := budget(total)
		o.Connection.WriteBufferSize, o.Connection.WriteQueueSize, o.Connection.WriteTimeout = -1, -1, -1
		s := w.listen(script{data: echo}, o)
		deaf, tape := s.connect()
		tape.stall() // one write, which gives its memory back as a whole: so none comes back meanwhile
		text := pattern(piece)
		accepted := 0
		for ; tape.write("written", text) == nil; accepted += piece {
			assert.LessOrEqual(t, s.Info().BufferedBytes, int64(total))
		}
		assert.Equal(t, protocol.ErrMemoryBudget, tape.say(text))
		info := s.Info()
		assert.Greater(t, info.BufferedBytes, int64(total)/2)
		assert.Positive(t, info.OverBudget)
		_, err := tape.socket.Write(nil)
		assert.NoError(t, err, "nothing takes nothing")

		asker := w.asker()
		assert.Equal(t, &protocol.WriteFailed{Ack: 7, Err: protocol.ErrMemoryBudget},
			asker.ask(tape.socket.PID(), &protocol.Write{Data: []byte(text + text), Ack: 7}))

		modest, _ := s.connect()
		for range 20 {
			modest.send("modest")
			modest.expect("modest")
		}
		deaf.take(stallSize)
		same(t, strings.Repeat(text, accepted/piece), string(deaf.take(accepted)))
		assert.Equal(t, &protocol.WriteReady{PID: tape.socket.PID()}, asker.answer(), "room is told here too")
		tape.until("room", lastWritable)
		s.free()
		require.NoError(t, tape.say(text))
		deaf.expect(text)
	})
}

func TestAConnectionThatWaitsForMemoryGoesOnWithinAnInterval(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const total = 256 << 10
		o := budget(total)
		o.Connection.WriteBufferSize, o.Connection.WriteTimeout, o.MemoryTimeout = total, -1, -1
		for name, rest := range map[string]int{"above the low water": total * 7 / 10, "nothing": 0} {
			s := w.listen(script{data: echo}, o)
			_, deaf := s.connect()
			require.NoError(t, deaf.write("deaf", strings.Repeat("d", rest)))
			slow, tape := s.connect()
			modest, _ := s.connect()
			for _, before := range []time.Duration{0, time.Second} {
				for _, meanwhile := range []time.Duration{0, time.Millisecond, 300 * time.Millisecond} {
					require.NoError(t, tape.write("slow", strings.Repeat("s", total-rest)), "the rest of it, at once")
					time.Sleep(before)
					modest.send("modest")
					synctest.Wait()
					assert.Equal(t, 1, s.Info().Throttled)
					time.Sleep(meanwhile)
					slow.take(total - rest)
					began := time.Now()
					modest.expect("modest")
					assert.LessOrEqual(t, time.Since(began), connection.ReclaimInterval, "%v, %v, then held: %s", before, meanwhile, name)
					time.Sleep(time.Second)
				}
			}
		}
	})
}

func TestAConnectionThatOnlyWaitsForItsPeersFINHoldsNoMemory(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := budget(1 << 20)
		o.Connection.CloseTimeout = -1
		s := w.listen(script{data: leave}, o)
		p, tape := s.connect()
		p.send("unread")
		tape.sees("unread")
		assert.Positive(t, s.Info().BufferedBytes)
		_ = tape.socket.Close()
		s.free()
		s.eventually("closing", func(i protocol.ListenerInfo) bool { return i.ByState[protocol.StateClosing] == 1 })
		p.close()
	})
}

// While there is room, the pieces in which a handler is shown its input are the same with a budget
// and without. A handler in pull mode sees them.
func TestABudgetWithRoomDoesNotChangeWhatAHandlerIsShown(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		shown := func(o listener.Options) (sizes []int) {
			o.Connection.ReadMode = connection.Pull
			s := w.listen(script{}, o)
			p, tape := s.connect()
			sent := strings.Repeat("0123456789abcdef", 2<<10)
			p.send(sent)
			w.settle()
			for seen := 0; seen < len(sent); seen = len(tape.seen()) {
				tape.socket.Resume()
				tape.until("the next piece", func(events []event) bool { return len(tape.seen()) > seen })
				sizes = append(sizes, len(tape.seen())-seen)
				w.settle()
			}
			return sizes
		}
		want := shown(listener.Options{})
		assert.Equal(t, want, shown(listener.Options{MemoryBudget: 1 << 20}))
	})
}

// In a storm of clients of every kind the budget is kept, every client gets its own bytes, and in
// the end the budget is at zero.
func TestInAStormTheAccountOfMemoryIsExact(t *testing.T) {
	mostlyWaits(t)
	eachNetwork(t, func(t *testing.T, w *world) {
		const total, crowd, rounds = 48 << 10, 24, 8
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		o := budget(total)
		o.MemoryTimeout = time.Second // clients that went away while their handlers hold bytes are in the way
		o.Connection.RestartHandler.Max = 1000
		o.SendBufferSize = 16 << 10
		var server atomic.Pointer[server]
		var calls, throttled atomic.Uint64
		var kinds sync.Map // by tape
		s := w.listen(script{data: func(t *tape, b *protocol.Buffer) error {
			if b.Len() == 0 {
				return nil
			}
			info := server.Load().Info()
			if info.BufferedBytes > total {
				t.disturb("more is held than there is")
			}
			if info.Throttled > 0 {
				throttled.Add(1)
			}
			random := rand.New(rand.NewPCG(seed, calls.Add(1)))
			switch kind, _ := kinds.LoadOrStore(t, b.Peek(1)[0]); kind {
			case byte('e'): // echoes
				n, err := t.socket.Forward(b)
				t.book(n)
				if err == protocol.ErrMemoryBudget {
					w.yield()
					t.socket.Resume()
					err = nil
				}
				return err
			case byte('w'): // writes more than it reads
				part := string(b.Next(1 + random.IntN(b.Len())))
				_ = t.write("completed", part+part+part)
				t.socket.Resume()
			case byte('p'): // panics
				if random.IntN(2) == 0 {
					n, _ := t.socket.Forward(b)
					t.book(n)
				}
				b.Discard(random.IntN(b.Len() + 1))
				return explode()
			case byte('a'): // aborts
				if random.IntN(3) == 0 {
					t.socket.Abort()
				}
			}
			return nil // and the others hold their input
		}}, o)
		server.Store(s)
		hold := func() *peer {
			p, _ := s.connect()
			p.send("h" + pattern(7000))
			return p
		}
		for range 4 { // they hold three quarters of what the others may have
			hold()
		}
		// However the storm falls, a connection waits for memory when it begins.
		var more []*peer
		for range total / 7000 {
			more = append(more, hold())
		}
		s.eventually("a connection that waits", func(i protocol.ListenerInfo) bool { return i.Throttled > 0 })
		var all sync.WaitGroup
		all.Go(func() {
			for _, p := range more {
				p.close()
			}
		})
		for id := range crowd {
			all.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(1e6+id)))
				for range rounds {
					kind := "eeewphha"[random.IntN(8)]
					most := 30_000
					if kind == 'h' || kind == 'a' {
						most = 7000 // while a buffer stays full, not even the end is read
					}
					s.visit(random, kind, string(kind)+pattern(random.IntN(most)))
				}
			})
		}
		all.Wait()
		for _, c := range w.clients {
			_ = c.Close()
		}
		s.eventually("the end of all connections", func(i protocol.ListenerInfo) bool { return i.Open == 0 })
		s.free()
		t.Logf("%d of %d calls while a connection was throttled", throttled.Load(), calls.Load())
	})
}

// visit is one client of the storm.
func (s *server) visit(random *rand.Rand, kind byte, text string) {
	c, err := s.dial()
	if !assert.NoError(s.w.t, err) {
		return
	}
	p := &peer{Conn: c, w: s.w}
	p.patiently()
	var sending sync.WaitGroup
	sending.Go(func() {
		_, _ = p.Write([]byte(text))
		if kind == 'e' || kind == 'w' {
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
		}
	})
	switch kind {
	case 'e':
		back, err := p.all()
		if err != nil || !s.w.network.resets { // it may have been in the way
			text = text[:min(len(back), len(text))]
		}
		same(s.w.t, text, string(back))
	case 'w':
		_, _ = io.CopyN(io.Discard, p, int64(random.IntN(len(text)+1)))
	}
	for range random.IntN(20) {
		s.w.yield()
	}
	_ = c.Close()
	sending.Wait()
}
