package session_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/session"
)

// frame is what travels on a line: a message, or the acknowledgement of one.
type frame struct {
	message session.Message
	ack     uint64 // 0: it is a message
}

// line is one connection: the server's handle, and what is under way in both directions.
type line struct {
	at       *session.Session
	up, down []frame
}

// world is a client that comes and goes, its server, and lines that the server has not seen end.
type world struct {
	t       *rapid.T
	servers []*session.Sessions // two with one store
	client  *session.Client
	line    *line   // the client's; nil: none
	old     []*line // the client has left them: what is under way there may still arrive

	store           *flaky
	said, heard     []string // by the server's handler, and what the client's gets
	typed, received []string // by the client's side, and what the server's handler gets
	lost            uint64   // messages of the server's that a resume said are lost
}

// TestEachMessageArrivesOnceAndInOrder runs random histories: messages both ways, lines that are
// lost with all that is under way, or live on half dead; resumes, also ones whose answer is lost.
func TestEachMessageArrivesOnceAndInOrder(t *testing.T) { rapid.Check(t, history) }

func FuzzHistories(f *testing.F) { f.Fuzz(rapid.MakeFuzz(history)) }

func history(t *rapid.T) { historyOf(t, false) }

// TestNothingIsLostWhereTheStoreIsNotSure is the same with a store that fails, at one server: what
// the store was not sure of, the server finds out.
func TestNothingIsLostWhereTheStoreIsNotSure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { historyOf(t, true) })
}

func historyOf(t *rapid.T, failing bool) {
	limits := session.Limits{
		Messages: rapid.IntRange(1, 8).Draw(t, "messages"), Bytes: rapid.IntRange(8, 64).Draw(t, "bytes"),
		Overflow: rapid.SampledFrom([]session.Overflow{session.Refuse, session.Forget}).Draw(t, "overflow"),
	}
	w := &world{t: t, store: &flaky{Memory: session.NewMemory(session.MemoryOptions{})}}
	one, store := session.New(w.store, session.Options{Limits: limits}), w.store
	w.servers = []*session.Sessions{one, session.New(store, session.Options{Limits: limits})}
	if failing {
		w.servers = w.servers[:1]
	}
	at, welcome, err := one.Open(t.Context())
	require.NoError(t, err)
	w.client, w.line = session.NewClient(welcome, session.Limits{Messages: 8}), &line{at: at}
	t.Repeat(map[string]func(*rapid.T){
		"":        func(*rapid.T) { w.check(limits.Overflow == session.Refuse) },
		"say":     func(*rapid.T) { w.say() },
		"type":    func(*rapid.T) { w.typeLine() },
		"up":      func(*rapid.T) { w.up(w.line) },
		"down":    func(*rapid.T) { w.down() },
		"leave":   func(*rapid.T) { w.leave() },
		"resume":  func(*rapid.T) { w.resume(false) },
		"unheard": func(*rapid.T) { w.resume(true) },
		"late": func(t *rapid.T) { // something of a line that the client has left
			if len(w.old) > 0 {
				w.up(rapid.SampledFrom(w.old).Draw(t, "line"))
			}
		},
		"end": func(t *rapid.T) { // the server sees that it has ended
			if len(w.old) > 0 {
				i := rapid.IntRange(0, len(w.old)-1).Draw(t, "line")
				w.release(w.old[i])
				w.old[i].up = nil
			}
		},
		"fail": func(t *rapid.T) { // the store's next update
			if failing {
				w.store.fails = rapid.SampledFrom([]fails{unsure, down}).Draw(t, "fails")
			}
		},
	})
	w.store.fails = works
	// In the end everything arrives.
	w.resume(false)
	for len(w.line.up)+len(w.line.down) > 0 {
		w.up(w.line)
		w.down()
	}
	w.check(limits.Overflow == session.Refuse)
	assert.Equal(t, w.typed, w.received, "of the client's messages")
	assert.Equal(t, uint64(len(w.said)), uint64(len(w.heard))+w.lost, "of the server's: heard, or told to be lost")
	require.NoError(t, w.line.at.Close(t.Context()))
	for _, l := range w.old {
		w.release(l)
	}
	for _, server := range w.servers {
		require.Zero(t, server.Live()+server.Turns()+server.Doubtful(), "nothing is left")
	}
	require.Zero(t, store.Len())
}

// release may find that the session is lost, where a Deliver has failed before it.
func (w *world) release(l *line) {
	if err := l.at.Release(w.t.Context()); err != nil && !errors.Is(err, errStore) {
		require.ErrorIs(w.t, err, session.ErrFenced)
		require.ErrorContains(w.t, err, "may count as delivered")
	}
}

func (w *world) check(all bool) {
	require.True(w.t, slices.Equal(w.typed[:len(w.received)], w.received), "the server's handler gets a prefix: %v", w.received)
	if all {
		require.Zero(w.t, w.lost)
		require.True(w.t, slices.Equal(w.said[:len(w.heard)], w.heard), "the client gets a prefix: %v", w.heard)
	}
	for i := 1; i < len(w.heard); i++ {
		require.Less(w.t, w.heard[i-1], w.heard[i], "in order, once")
	}
}

func (w *world) say() {
	line := w.line
	if line == nil {
		return
	}
	text := fmt.Sprintf("s%06d", len(w.said))
	message, err := line.at.Send(w.t.Context(), []byte(text))
	switch {
	case errors.Is(err, session.ErrLogFull), errors.Is(err, errStore):
	case errors.Is(err, session.ErrFenced):
		w.t.Fatal("the newest line is fenced")
	default:
		require.NoError(w.t, err)
		w.said = append(w.said, text)
		line.down = append(line.down, frame{message: message})
	}
}

func (w *world) typeLine() {
	text := fmt.Sprintf("c%06d", len(w.typed))
	message, err := w.client.Send([]byte(text))
	if errors.Is(err, session.ErrLogFull) {
		return
	}
	require.NoError(w.t, err)
	w.typed = append(w.typed, text)
	if w.line != nil {
		w.line.up = append(w.line.up, frame{message: message})
	}
}

// up lets the server read one frame of a line.
func (w *world) up(l *line) {
	if l == nil || len(l.up) == 0 {
		return
	}
	f := l.up[0]
	l.up = l.up[1:]
	var err error
	if f.ack != 0 {
		err = l.at.Acknowledge(w.t.Context(), f.ack)
	} else {
		_, err = l.at.Deliver(w.t.Context(), f.message.Number, func() { w.received = append(w.received, string(f.message.Data)) })
		if err == nil {
			l.down = append(l.down, frame{ack: f.message.Number})
		}
	}
	if errors.Is(err, errStore) { // the server tries it again later, but is told of what is behind it first
		require.NotZero(w.t, w.store.failed)
		if len(l.up) > 0 && l.up[0].ack == 0 && f.ack == 0 {
			_, err = l.at.Deliver(w.t.Context(), l.up[0].message.Number, func() { w.t.Fatal("delivered behind a gap") })
			require.True(w.t, errors.Is(err, session.ErrGap) || errors.Is(err, session.ErrFenced), "%v", err)
		}
		l.up = append([]frame{f}, l.up...)
		return
	}
	if errors.Is(err, session.ErrFenced) {
		require.NotSame(w.t, w.line, l, "the newest line is fenced")
		return
	}
	require.NoError(w.t, err)
}

// down lets the client read one frame.
func (w *world) down() {
	if w.line == nil || len(w.line.down) == 0 {
		return
	}
	f := w.line.down[0]
	w.line.down = w.line.down[1:]
	if f.ack != 0 {
		require.NoError(w.t, w.client.Acknowledge(f.ack))
		return
	}
	fresh, err := w.client.Receive(f.message.Number)
	require.NoError(w.t, err)
	if fresh {
		w.heard = append(w.heard, string(f.message.Data))
	}
	w.line.up = append(w.line.up, frame{ack: f.message.Number})
}

func (w *world) leave() {
	if w.line != nil {
		w.old = append(w.old, w.line)
		w.line = nil
	}
}

// resume comes back on a new line, also while the server holds the old one for alive. If the answer
// is lost, the client knows nothing of it.
func (w *world) resume(unheard bool) {
	w.leave()
	server := rapid.SampledFrom(w.servers).Draw(w.t, "server")
	at, answer, err := server.Resume(w.t.Context(), w.client.Token, w.client.Epoch, w.client.Handled())
	if errors.Is(err, errStore) {
		return // the client has no line now
	}
	require.NoError(w.t, err)
	if unheard {
		w.old = append(w.old, &line{at: at})
		return
	}
	again, lost, err := w.client.Resumed(answer)
	require.NoError(w.t, err)
	require.Zero(w.t, lost.Len(), "of the client's messages")
	require.Equal(w.t, answer.Recovered, answer.Lost.Len() == 0)
	w.lost += answer.Lost.Len()
	w.line = &line{at: at}
	for _, message := range answer.Again {
		w.line.down = append(w.line.down, frame{message: message})
	}
	for _, message := range again {
		w.line.up = append(w.line.up, frame{message: message})
	}
}
