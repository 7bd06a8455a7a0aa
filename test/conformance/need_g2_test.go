package conformance

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
)

// G2, Buffer.Need: no Data before as many bytes are there as the handler needs, whatever the size
// of the read buffer, or before the end of the stream.

// frames is a script with handlers that take frames as "5:hello", one in each call, and ask for
// what an incomplete one has. then is called with each.
func frames(then func(t *tape, frame string)) script {
	return script{data: func(t *tape, b *protocol.Buffer) error {
		header, _, whole := bytes.Cut(b.Bytes(), []byte(":"))
		if !whole {
			return nil
		}
		n, err := strconv.Atoi(string(header))
		if err != nil {
			return err
		}
		if n += len(header) + 1; b.Len() < n {
			return b.Need(n)
		}
		payload := string(b.Next(n)[len(header)+1:])
		if b.Len() > 0 {
			err = b.Need(1)
		}
		if then != nil {
			then(t, payload)
		}
		return err
	}}
}

// received waits for the next value of a channel.
func received[T any](w *world, values <-chan T) (value T) {
	w.t.Helper()
	select {
	case value = <-values:
	case <-time.After(w.patience()):
		require.Fail(w.t, "nothing received")
	}
	return value
}

func framed(payload string) string { return fmt.Sprintf("%d:%s", len(payload), payload) }

func TestNoDataComesBeforeTheBytesThatAreNeeded(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, frames(nil), only(connection.Options{ReadBufferSize: 1000})).connect()
		sent := framed(pattern(100_000))
		p.send(sent[:10])
		tape.await("data")
		for left := sent[10:]; left != ""; {
			n := min(len(left), 30_000)
			p.send(left[:n])
			if left = left[n:]; left != "" {
				w.settle()
				assert.Equal(t, 1, tape.count("data"))
			}
		}
		same(t, sent, tape.nth(2, "data").text)
		p.send("2:ok")
		tape.sees(sent + "2:ok")
	})
}

// Each frame is shown at most twice: once when it begins, once when it is whole.
func TestLongFramesComeThroughAShortReadBuffer(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		const count, size = 3, 1 << 20
		messages := &frame.LengthPrefixed{Width: 4, Strip: 4, Max: size + 4}
		got := 0
		p, tape := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			for payload, err := range messages.Frames(b) {
				if err != nil {
					return err
				}
				got += len(payload)
				assert.Equal(w.t, bytes.Repeat([]byte{payload[0]}, size), payload)
			}
			return frame.Incomplete(b)
		}}, connection.Options{MaxReadBufferSize: size + 4}).connect()
		for i := range count {
			header, err := messages.AppendHeader(nil, size)
			require.NoError(t, err)
			p.send(string(header) + strings.Repeat(string(rune('a'+i)), size))
		}
		p.closeWrite()
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		assert.Equal(t, count*size, got)
		assert.LessOrEqual(t, tape.count("data"), 2*count+1)
	})
}

func TestTheEndOfTheStreamShowsAnIncompleteFrame(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		s := w.open(factory, frames(nil), only(connection.Options{}))
		p, tape := s.connect()
		p.send("1000:half")
		tape.await("data")
		p.send(" a frame")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		p.closeWrite()
		last := tape.nth(2, "data")
		assert.Equal(t, "1000:half a frame", last.text)
		assert.True(t, last.flag)
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		assert.Equal(t, 2, tape.count("data"))
	})
}

func TestAResetShowsAnIncompleteFrame(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		w.needsReset()
		for _, paused := range []bool{false, true} {
			p, tape := w.serve(frames(nil), connection.Options{LingerTimeout: time.Minute}).connect()
			p.send("1000:half")
			tape.await("data")
			p.send(" a frame")
			for tape.socket.Info().Stats.Read < uint64(len("1000:half a frame")) {
				w.yield()
			}
			if paused {
				tape.socket.Do(&protocol.Pause{}, tape.done("paused"))
				tape.await("paused")
			}
			p.reset()
			if paused {
				w.settle()
				assert.Equal(t, 1, tape.count("data"))
				tape.socket.Resume()
			}
			last := tape.nth(2, "data")
			assert.Equal(t, "1000:half a frame", last.text)
			assert.False(t, last.flag)
			assert.Equal(t, protocol.ReasonPeerReset, tape.ended().Reason)
		}
	})
}

func TestAHandlerCannotNeedMoreThanMaxReadBufferSize(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(frames(nil), connection.Options{ReadBufferSize: 100, MaxReadBufferSize: 200}).connect()
		p.send("196:")
		tape.await("data")
		p.send(strings.Repeat("x", 196))
		p.send("197:")
		p.rest()
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonHandlerError, closed.Reason)
		assert.EqualError(t, closed.Err, "berth: 201 bytes are needed at once, and MaxReadBufferSize allows 200")
	})
}

func TestWhatAHandlerNeededThatPanickedIsForgotten(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		for _, consumed := range []int{0, 2, 5} {
			first := true
			s := w.upgradable(factory, script{data: func(_ *tape, b *protocol.Buffer) error {
				if !first {
					b.Discard(b.Len())
					return nil
				}
				first = false
				b.Discard(consumed)
				assert.NoError(w.t, b.Need(100))
				panic(errBroken)
			}}, restarting(1))
			p, tape := s.connect()
			p.send("first")
			tape.await("again")
			p.send("next")
			tape.sees("firstnext")
		}
	})
}

func TestWhatIsNeededUsesUpNoDemand(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		taken := make(chan string, 8)
		p, tape := w.open(factory, frames(func(_ *tape, frame string) { taken <- frame }),
			only(connection.Options{ReadMode: connection.Pull})).connect()
		p.send("5:he")
		tape.socket.Resume()
		tape.await("data")
		p.send("llo3:one3:two")
		assert.Equal(t, "hello", received(w, taken))
		w.settle()
		assert.Empty(t, taken)
		tape.socket.Do(&protocol.Resume{Credit: 2}, nil)
		assert.Equal(t, "one", received(w, taken))
		assert.Equal(t, "two", received(w, taken))
	})
}

// A decoder of words passes over the white space between them; a call that has found no more than
// that has shown nothing yet.
func TestWhatIsSkippedUsesUpNoDemand(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		taken := make(chan string, 8)
		words := frame.Split{Func: bufio.ScanWords}
		p, tape := w.open(factory, script{data: func(_ *tape, b *protocol.Buffer) error {
			word, err := words.Next(b)
			switch {
			case errors.Is(err, frame.ErrIncomplete):
				return nil
			case err != nil:
				return err
			}
			taken <- string(word)
			return b.Need(1)
		}}, only(connection.Options{ReadMode: connection.Pull})).connect()
		tape.socket.Resume()
		p.send("   ")
		tape.await("data")
		w.settle()
		p.send("  one two ")
		assert.Equal(t, "one", received(w, taken))
		w.settle()
		assert.Empty(t, taken, "one demand, one word")
		tape.socket.Do(&protocol.Resume{Credit: 2}, nil)
		assert.Equal(t, "two", received(w, taken))
		p.send("  ")
		w.settle()
		p.send("three four ")
		assert.Equal(t, "three", received(w, taken))
		w.settle()
		assert.Empty(t, taken)
	})
}

func TestAResumeBringsNoDataBeforeWhatIsNeeded(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, frames(nil), only(connection.Options{})).connect()
		p.send("11:half")
		tape.await("data")
		for range 3 {
			tape.socket.Do(&protocol.Resume{}, tape.done("resumed"))
		}
		tape.nth(3, "resumed")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		tape.socket.Do(&protocol.Pause{}, tape.done("paused"))
		tape.await("paused")
		p.send("a frame")
		w.settle()
		assert.Equal(t, 1, tape.count("data"))
		tape.socket.Resume()
		assert.Equal(t, "11:halfa frame", tape.nth(2, "data").text)
	})
}

func TestAPauseHoldsTheNextFrameAlthoughItsBytesAreThere(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		taken := make(chan string, 8)
		p, tape := w.open(factory, frames(func(t *tape, frame string) {
			t.socket.Pause()
			taken <- frame
		}), only(connection.Options{})).connect()
		p.send("3:one3:two5:three")
		p.closeWrite() // the end waits for the frames
		for i, frame := range []string{"one", "two", "three"} {
			assert.Equal(t, frame, received(w, taken))
			w.settle()
			assert.Empty(t, taken)
			assert.Equal(t, i+1, tape.count("data"))
			tape.socket.Resume()
		}
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
	})
}

func TestAPartOfAFrameKeepsASilentPeerFromNoTimeout(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for _, o := range []connection.Options{{IdleTimeout: time.Minute}, {ReadTimeout: time.Minute}} {
			began := time.Now()
			p, tape := w.serve(frames(nil), o).connect()
			p.send("1000:half")
			time.Sleep(50 * time.Second)
			p.send("more") // it is no Data, and it is traffic
			p.rest()
			p.close()
			tape.ended()
			assert.GreaterOrEqual(t, time.Since(began), 110*time.Second)
			assert.Less(t, time.Since(began), 120*time.Second)
		}
	})
}

func TestLongFramesStayWithinTheMemoryBudget(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		const total = 1 << 20
		s := w.listen(frames(nil), listener.Options{MemoryBudget: total, MemoryTimeout: 10 * time.Second})
		// Each is half of the budget once it is whole, and none of them ever is.
		var tapes []*tape
		for range 8 {
			p, tape := s.connect()
			go func() { _, _ = p.Write([]byte("500000:" + strings.Repeat("x", 400_000))) }()
			tapes = append(tapes, tape)
		}
		for range 600 {
			time.Sleep(100 * time.Millisecond)
			require.LessOrEqual(t, s.Info().BufferedBytes, int64(total))
		}
		ended := 0
		for _, tape := range tapes {
			if info := tape.socket.Info(); info.State == protocol.StateClosed {
				assert.Equal(t, protocol.ReasonMemoryBudget, info.Reason)
				ended++
			}
		}
		assert.Positive(t, ended)
		assert.Zero(t, s.Info().Throttled, "no connection waits for ever")

		// One that is served while the others hold what they hold.
		p, tape := s.connect()
		p.send("2:ok")
		tape.sees("2:ok")
	})
}

func TestNoMoreIsNeededThanTheMemoryBudgetHolds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.listen(frames(nil), listener.Options{MemoryBudget: 100 << 10})
		p, tape := s.connect()
		p.send("60000:" + strings.Repeat("x", 60_000))
		tape.until("a whole frame", func([]event) bool { return len(tape.seen()) == 60_006 })
		p.send("80000:")
		p.rest()
		p.close()
		assert.ErrorContains(t, tape.ended().Err, "80006 bytes are needed at once")
	})
}

// Neither of the two holds more than its share, and what either needs does not fit beside the
// other.
func TestOfTwoFramesThatDoNotFitTogetherOneComes(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		s := w.listen(frames(nil), listener.Options{
			MemoryBudget: 1 << 20, MemoryHighWater: 700_000, MemoryLowWater: 690_000, MemoryTimeout: 10 * time.Second,
		})
		p, one := s.connect()
		q, other := s.connect()
		const begun = 250_000
		p.send(framed(pattern(500_000))[:begun])
		q.send(framed(pattern(500_000))[:begun])
		w.settle()
		for _, c := range w.clients {
			go func() { _, _ = c.Write([]byte(framed(pattern(500_000))[begun:])) }()
		}
		time.Sleep(9 * time.Second)
		assert.Equal(t, 2, s.Info().Throttled)
		time.Sleep(time.Minute)
		ended, shown := 0, 0
		for _, tape := range []*tape{one, other} {
			if tape.socket.Info().Reason == protocol.ReasonMemoryBudget {
				ended++
			} else if tape.seen() == framed(pattern(500_000)) {
				shown++
			}
		}
		assert.Equal(t, []int{1, 1}, []int{ended, shown})
	})
}

// Random sequences: a handler consumes some, asks for more than there is or for what is left, and
// is paused and resumed from outside.
func TestWhateverAHandlerNeedsNothingIsLostOrRepeated(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0)) // of the handler
		const size, buffer = 15_000, 500
		needed := 0
		p, tape := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error {
			if b.Len() < needed && !b.AtEOF() {
				t.disturb("Data came before what was needed")
			}
			needed = 0
			b.Discard(random.IntN(b.Len() + 1))
			switch random.IntN(3) {
			case 0:
				needed = b.Len() + 1 + random.IntN(4*buffer)
			case 1:
				needed = 1 + random.IntN(b.Len()+1)
			}
			if b.Len() >= buffer && needed <= b.Len() { // it must read on
				b.Discard(b.Len())
			}
			return b.Need(needed)
		}}, only(connection.Options{ReadBufferSize: buffer})).connect()
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					resumed := make(chan struct{})
					tape.socket.Pause()
					tape.socket.Do(&protocol.Resume{}, func(error) { close(resumed) })
					<-resumed // mail comes before input: too much of it would keep that waiting
					w.yield()
				}
			}
		}()
		p.send(pattern(size))
		p.closeWrite()
		assert.Equal(t, protocol.ReasonPeerClosed, tape.ended().Reason)
		close(stop)
		<-stopped
		same(t, pattern(size), tape.seen())
	})
}
