package conformance

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// tape records the handler calls of one connection, in order, completions included. It checks the
// rules that hold for every connection in every test: see verify.
type tape struct {
	w      *world
	socket protocol.Socket

	inside   atomic.Int32 // handler calls under way
	overlaps atomic.Int32

	mu        sync.Mutex
	events    []event
	news      chan struct{} // closed at the next event
	input     strings.Builder
	unread    string // what the handler left
	promised  map[string]int
	bytes     uint64             // accepted for writing through this tape, or dropped
	closings  []protocol.Closing // each is no event of its own: see announce
	closed    protocol.Closed
	unbooked  bool // others write as well: bytes are not counted here
	disturbed []string
}

// event is one handler call or completion.
type event struct {
	what string // accepted, again, data, peerclosed, writable, draining, message, closed, or the name of a completion
	text string // data: what was shown
	flag bool   // data: EOF; writable: ready
	err  error  // completions
	any  any    // messages; draining: the Deadline
	at   time.Time
}

func newTape(w *world, socket protocol.Socket) *tape {
	t := &tape{w: w, socket: socket, news: make(chan struct{}), promised: map[string]int{}}
	w.mu.Lock()
	w.tapes = append(w.tapes, t)
	w.mu.Unlock()
	return t
}

// enter is the beginning of a handler call, leave its end.
func (t *tape) enter() {
	if t.inside.Add(1) != 1 {
		t.overlaps.Add(1)
	}
}

func (t *tape) leave() { t.inside.Add(-1) }

func (t *tape) record(e event) {
	e.at = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, e)
	t.tell()
}

// tell wakes the goroutines that wait. The caller holds mu.
func (t *tape) tell() {
	close(t.news)
	t.news = make(chan struct{})
}

// show records a Data, plays the handler's part and notes what it consumed.
func (t *tape) show(b *protocol.Buffer, eof bool, play func(*tape, *protocol.Buffer) error) error {
	shown := string(b.Bytes())
	if !strings.HasPrefix(shown, t.unread) {
		t.disturb("unread bytes do not lead the next Data")
	}
	if b.Offset() != uint64(len(t.seen())-len(t.unread)) {
		t.disturb("Offset does not count the consumed bytes")
	}
	t.record(event{what: "data", text: shown, flag: eof})
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.input.WriteString(shown[:len(shown)-b.Len()])
		t.unread = shown[len(shown)-b.Len():]
		t.tell() // the input, too, is waited for
	}()
	if play == nil {
		b.Discard(b.Len())
		return nil
	}
	return play(t, b)
}

// announce records a Closing. It is kept apart from the events, which most tests count.
func (t *tape) announce(closing protocol.Closing) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.events) == 0 || t.events[len(t.events)-1].what == "closed" {
		t.disturbed = append(t.disturbed, "Closing before Accepted or after Closed")
	}
	t.closings = append(t.closings, closing)
	t.tell()
}

// closing waits for Closing and returns it.
func (t *tape) closing() protocol.Closing {
	t.w.t.Helper()
	t.until("closing", func([]event) bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return len(t.closings) > 0
	})
	return t.closings[0]
}

func (t *tape) disturb(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.disturbed = append(t.disturbed, what)
}

// until waits until enough is true of the events.
func (t *tape) until(what string, enough func(events []event) bool) []event {
	t.w.t.Helper()
	limit := time.After(t.w.patience())
	for {
		t.mu.Lock()
		events, news := t.events, t.news
		t.mu.Unlock()
		if enough(events) {
			return events
		}
		select {
		case <-news:
		case <-limit:
			require.Fail(t.w.t, "waited in vain for "+what, "so far: %v", t.kinds())
		}
	}
}

// nth waits for the nth event of a kind, from 1.
func (t *tape) nth(n int, what string) event {
	t.w.t.Helper()
	var found event
	t.until(what, func(events []event) bool {
		left := n
		for _, e := range events {
			if e.what == what {
				if left--; left == 0 {
					found = e
					return true
				}
			}
		}
		return false
	})
	return found
}

// await waits for the first event of a kind.
func (t *tape) await(what string) event {
	t.w.t.Helper()
	return t.nth(1, what)
}

// ended waits for Closed and returns it.
func (t *tape) ended() protocol.Closed {
	t.w.t.Helper()
	t.await("closed")
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.closed
}

// left waits until the connection is no longer in that state. No event announces it, so left polls.
func (t *tape) left(state protocol.State) {
	t.w.t.Helper()
	limit := time.Now().Add(t.w.patience())
	for t.socket.Info().State == state {
		require.True(t.w.t, time.Now().Before(limit), "still %s", state)
		time.Sleep(time.Millisecond)
	}
}

// count returns how many events of a kind there were.
func (t *tape) count(what string) (n int) {
	for _, kind := range t.kinds() {
		if kind == what {
			n++
		}
	}
	return n
}

// kinds returns the events' kinds in order.
func (t *tape) kinds() (kinds []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.events {
		kinds = append(kinds, e.what)
	}
	return kinds
}

// seen returns what the handler consumed and what it was shown beyond that.
func (t *tape) seen() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.input.String() + t.unread
}

// sees waits until the handler was shown exactly text, from the beginning.
func (t *tape) sees(text string) {
	t.w.t.Helper()
	t.until("input", func(events []event) bool { return len(t.seen()) >= len(text) })
	require.Equal(t.w.t, text, t.seen())
}

// done returns a completion that records itself as a handler call.
func (t *tape) done(name string) func(error) {
	return func(err error) {
		t.enter()
		defer t.leave()
		t.record(event{what: name, err: err})
	}
}

// write queues text with a completion of that name.
func (t *tape) write(name, text string) error {
	var queueing atomic.Bool
	queueing.Store(true)
	done := t.done(name)
	err := t.socket.WriteOwned([]byte(text), func(err error) {
		if queueing.Load() && t.inside.Load() > 0 {
			t.disturb("completion " + name + " ran inside the call that queued it")
		}
		done(err)
	})
	queueing.Store(false)
	t.owe(name, len(text), err)
	return err
}

// owe counts an accepted write.
func (t *tape) owe(name string, n int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	accepted := 0
	if err == nil {
		accepted = 1
		t.bytes += uint64(n)
	}
	t.promised[name] += accepted // a write of no bytes is counted too: a refused write must not complete
}

// say queues text without a completion.
func (t *tape) say(text string) error {
	n, err := t.socket.Write([]byte(text))
	t.book(n)
	return err
}

// book counts n accepted bytes.
func (t *tape) book(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.bytes += uint64(n)
}

// stall queues more than the network takes while its peer does not read.
func (t *tape) stall() {
	t.w.t.Helper()
	require.NoError(t.w.t, t.write("stall", strings.Repeat("s", stallSize)))
}

// stallSize is more than a socket's two buffers hold while the peer does not read: sendBuffer, and
// the buffer that the kernel grants a reader that never read.
const stallSize = 2 << 20

// verify checks the rules of every connection: G1, G4 and the sums of G3.
func (t *tape) verify() {
	t.mu.Lock()
	defer t.mu.Unlock()
	assert.Zero(t.w.t, t.overlaps.Load(), "handler calls overlapped")
	assert.Empty(t.w.t, t.disturbed)
	if !assert.NotEmpty(t.w.t, t.events) {
		return
	}
	completed := map[string]int{}
	for i, e := range t.events {
		assert.Equal(t.w.t, i == 0, e.what == "accepted", "event %d is %s", i, e.what)
		assert.Equal(t.w.t, i == len(t.events)-1, e.what == "closed", "event %d is %s", i, e.what)
		completed[e.what]++
	}
	if assert.Len(t.w.t, t.closings, 1, "Closing comes once") {
		assert.Equal(t.w.t, t.closed.Reason, t.closings[0].Reason)
	}
	for name, times := range t.promised {
		assert.Equal(t.w.t, times, completed[name], "completions of %s", name)
	}
	if !t.unbooked {
		assert.Equal(t.w.t, t.bytes-t.closed.Stats.Dropped, t.closed.Stats.Written+t.closed.Stats.Unsent, "accepted = written + unsent")
		assert.GreaterOrEqual(t.w.t, t.closed.Stats.Read, uint64(t.input.Len()))
	}
}
