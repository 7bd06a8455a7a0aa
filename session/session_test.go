package session_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSessions(options session.MemoryOptions, limits session.Limits) (*session.Sessions, *session.Memory) {
	store := session.NewMemory(options)
	return session.New(store, session.Options{Limits: limits}), store
}

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

// welcome opens a session, as a connection and its client.
func welcome(t *testing.T, sessions *session.Sessions) (*session.Session, *session.Client) {
	t.Helper()
	at, welcome, err := sessions.Open(t.Context())
	require.NoError(t, err)
	return at, session.NewClient(welcome, session.Limits{})
}

func TestAForgedTokenIsRefusedWhateverIsWrongWithIt(t *testing.T) {
	sessions, store := newSessions(session.MemoryOptions{}, session.Limits{})
	_, one := welcome(t, sessions)
	_, other := welcome(t, sessions)
	forged := []string{
		"", "x", one.Token + "A", one.Token[:len(one.Token)-1], one.Token[:21] + "\n" + one.Token[22:], strings.Repeat("A", len(one.Token)),
		one.Token[:32] + other.Token[32:], // the id of one with the secret of another
		one.Token[:63] + string(one.Token[63]^1), strings.Repeat("ä", 32), strings.Repeat("=", 64),
	}
	for _, token := range forged {
		_, _, err := sessions.Resume(t.Context(), token, 1, 0)
		assert.ErrorIs(t, err, session.ErrToken, "%q", token)
	}
	assert.Equal(t, 2, store.Len())
	_, answer, err := sessions.Resume(t.Context(), one.Token, 1, 0) // nothing has changed
	require.NoError(t, err)
	assert.Equal(t, session.Resumed{Epoch: 2, Recovered: true}, answer)
}

func TestNumbersFromTheFutureAreRefused(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{})
	at, client := welcome(t, sessions)
	_, err := at.Send(t.Context(), []byte("one"))
	require.NoError(t, err)
	for _, claim := range [][2]uint64{{2, 0}, {1, 2}, {1 << 63, 0}, {1, 1<<64 - 1}, {1<<64 - 1, 1<<64 - 1}} {
		_, _, err := sessions.Resume(t.Context(), client.Token, claim[0], claim[1])
		assert.ErrorIs(t, err, session.ErrFuture, "epoch %d, handled %d", claim[0], claim[1])
	}
	assert.ErrorIs(t, at.Acknowledge(t.Context(), 2), session.ErrFuture)
	for _, number := range []uint64{0, 2, 1<<64 - 1} {
		_, err = at.Deliver(t.Context(), number, func() { t.Error("delivered") })
		assert.ErrorIs(t, err, session.ErrGap, number)
	}
	_, _, err = client.Resumed(session.Resumed{Epoch: 2, Handled: 1})
	assert.ErrorIs(t, err, session.ErrFuture, "the server has handled what this client never sent")
	assert.EqualValues(t, 1, client.Epoch)
	_, err = client.Receive(2)
	assert.ErrorIs(t, err, session.ErrGap)
	assert.ErrorIs(t, client.Acknowledge(1), session.ErrFuture)
}

// Two clients have the same token. The second takes the session over; the first is fenced, and its
// epoch has passed as soon as the second was heard.
func TestADuplicateLoginTakesOverAndTheOldConnectionIsFenced(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{})
	first, client := welcome(t, sessions)
	copied := *client
	second, answer, err := sessions.Resume(t.Context(), copied.Token, copied.Epoch, copied.Handled())
	require.NoError(t, err)
	_, _, err = copied.Resumed(answer)
	require.NoError(t, err)
	<-first.Fenced()

	_, err = first.Send(t.Context(), []byte("x"))
	assert.ErrorIs(t, err, session.ErrFenced)
	_, err = first.Deliver(t.Context(), 1, func() { t.Error("delivered") })
	assert.ErrorIs(t, err, session.ErrFenced)
	_, err = first.Skip(t.Context(), 9)
	assert.ErrorIs(t, err, session.ErrFenced)
	assert.ErrorIs(t, first.Acknowledge(t.Context(), 0), session.ErrFenced)
	assert.ErrorIs(t, first.Close(t.Context()), session.ErrFenced)
	require.NoError(t, first.Release(t.Context()))

	fresh, err := second.Deliver(t.Context(), 1, func() {})
	require.NoError(t, err)
	assert.True(t, fresh)
	_, _, err = sessions.Resume(t.Context(), client.Token, client.Epoch, 0)
	assert.ErrorIs(t, err, session.ErrEpoch)
	message, err := second.Send(t.Context(), []byte("x")) // the refused resume has fenced nothing
	require.NoError(t, err)
	assert.EqualValues(t, 1, message.Number)
	select {
	case <-second.Fenced():
		t.Error("fenced")
	default:
	}
}

// A copy of a client that is behind says so: what the other has acknowledged cannot be repeated.
func TestACopyOfAClientThatIsBehindIsToldWhatItHasMissed(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{})
	at, client := welcome(t, sessions)
	behind := *client
	for range 3 {
		_, err := at.Send(t.Context(), []byte("x"))
		require.NoError(t, err)
	}
	require.NoError(t, at.Acknowledge(t.Context(), 2))
	_, answer, err := sessions.Resume(t.Context(), behind.Token, behind.Epoch, behind.Handled())
	require.NoError(t, err)
	assert.False(t, answer.Recovered)
	assert.Equal(t, session.Range{From: 1, To: 2}, answer.Lost)
	assert.Equal(t, []session.Message{{Number: 3, Data: []byte("x")}}, answer.Again)
	_, _, err = behind.Resumed(answer)
	require.NoError(t, err)
	fresh, err := behind.Receive(3)
	assert.NoError(t, err)
	assert.True(t, fresh)
}

// A server that has gone back to an older state, as one that was restored does, tells the client
// how far it is. The client says which messages can no longer be sent, and the server notes that.
func TestWhatAServerHasForgottenIsTold(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{})
	at, client := welcome(t, sessions)
	for range 5 {
		_, err := client.Send([]byte("x"))
		require.NoError(t, err)
	}
	require.NoError(t, client.Acknowledge(4)) // the server knows of none now
	again, lost, err := client.Resumed(session.Resumed{Epoch: 1})
	require.NoError(t, err)
	assert.Equal(t, session.Range{From: 1, To: 4}, lost)
	assert.Equal(t, []session.Message{{Number: 5, Data: []byte("x")}}, again)
	_, err = at.Deliver(t.Context(), 5, func() {})
	assert.ErrorIs(t, err, session.ErrGap)
	noted, err := at.Skip(t.Context(), lost.To)
	require.NoError(t, err)
	assert.Equal(t, lost, noted)
	fresh, err := at.Deliver(t.Context(), 5, func() {})
	assert.NoError(t, err)
	assert.True(t, fresh)
	noted, err = at.Skip(t.Context(), 2)
	require.NoError(t, err)
	assert.Zero(t, noted.Len())
}

// An answer may be lost, and a resume may come late, so a client that was not heard since is
// believed. An epoch before the one that it presented last has passed.
func TestAnEpochPassesWhenALaterOneWasPresented(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{})
	_, client := welcome(t, sessions)
	for _, presented := range []uint64{1, 1, 2, 3, 5, 5} { // each answers with one more than the last
		_, _, err := sessions.Resume(t.Context(), client.Token, presented, 0)
		require.NoError(t, err, presented)
	}
	for _, presented := range []uint64{0, 1, 4} {
		_, _, err := sessions.Resume(t.Context(), client.Token, presented, 0)
		assert.ErrorIs(t, err, session.ErrEpoch, presented)
	}
}

// lazy is a store that has not yet forgotten what it was told to.
type lazy struct{ session.Store }

func (lazy) Delete(context.Context, string) error { return nil }

func TestAClosedSessionIsClosedAtOnce(t *testing.T) {
	sessions := session.New(lazy{session.NewMemory(session.MemoryOptions{})}, session.Options{})
	at, client := welcome(t, sessions)
	require.NoError(t, at.Close(t.Context()))
	_, _, err := sessions.Resume(t.Context(), client.Token, 1, 0)
	assert.ErrorIs(t, err, session.ErrToken)
	_, _, _, err = sessions.TakeOver(t.Context(), at.ID())
	assert.ErrorIs(t, err, session.ErrNotFound)
	_, err = sessions.Post(t.Context(), at.ID(), nil)
	assert.ErrorIs(t, err, session.ErrNotFound)
	assert.ErrorIs(t, at.Acknowledge(t.Context(), 0), session.ErrFenced)
}

func TestALoginWithoutATokenTakesTheSessionOver(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{Messages: 2, Overflow: session.Forget})
	first, client := welcome(t, sessions)
	for i := range 4 { // numbers 1 and 2 are forgotten
		_, err := first.Send(t.Context(), []byte{byte(i)})
		require.NoError(t, err)
	}
	require.NoError(t, first.Acknowledge(t.Context(), 1))
	require.NoError(t, first.Acknowledge(t.Context(), 0)) // late: it changes nothing
	second, hello, answer, err := sessions.TakeOver(t.Context(), first.ID())
	require.NoError(t, err)
	<-first.Fenced()
	assert.NotEqual(t, client.Token, hello.Token)
	assert.False(t, answer.Recovered)
	assert.Equal(t, session.Range{From: 2, To: 2}, answer.Lost)
	assert.Len(t, answer.Again, 2)
	for _, epoch := range []uint64{1, 2} {
		_, _, err = sessions.Resume(t.Context(), client.Token, epoch, 0)
		assert.ErrorIs(t, err, session.ErrToken, "the old token is void")
	}
	require.NoError(t, second.Release(t.Context()))
	_, _, err = sessions.Resume(t.Context(), hello.Token, hello.Epoch, 4)
	assert.NoError(t, err)
	for _, id := range []string{"", "x", strings.Repeat("A", 22)} {
		_, _, _, err = sessions.TakeOver(t.Context(), id)
		assert.ErrorIs(t, err, session.ErrNotFound)
	}
}

func TestAFullLogRefusesAndForgetsNothing(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{Messages: 3, Bytes: 10})
	at, client := welcome(t, sessions)
	_, err := at.Send(t.Context(), make([]byte, 11))
	assert.ErrorIs(t, err, session.ErrTooLarge)
	_, err = at.Send(t.Context(), make([]byte, 10))
	require.NoError(t, err)
	_, err = at.Send(t.Context(), []byte("x"))
	assert.ErrorIs(t, err, session.ErrLogFull)
	require.NoError(t, at.Acknowledge(t.Context(), 1))
	for range 3 {
		_, err = at.Send(t.Context(), nil)
		require.NoError(t, err)
	}
	_, err = at.Send(t.Context(), nil)
	assert.ErrorIs(t, err, session.ErrLogFull)
	_, answer, err := sessions.Resume(t.Context(), client.Token, 1, 1)
	require.NoError(t, err)
	assert.True(t, answer.Recovered)
	assert.Len(t, answer.Again, 3)
}

// A client without a connection gets what was posted meanwhile.
func TestAPostWaitsForTheClient(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{Messages: 2})
	at, client := welcome(t, sessions)
	_, err := sessions.Post(t.Context(), at.ID(), []byte("early"))
	assert.ErrorIs(t, err, session.ErrAttached)
	require.NoError(t, at.Release(t.Context()))
	_, err = at.Send(t.Context(), nil)
	assert.ErrorIs(t, err, session.ErrFenced, "it was released")
	for range 2 {
		_, err = sessions.Post(t.Context(), at.ID(), []byte("hello"))
		require.NoError(t, err)
	}
	_, err = sessions.Post(t.Context(), at.ID(), []byte("more"))
	assert.ErrorIs(t, err, session.ErrLogFull)
	_, err = sessions.Post(t.Context(), "none", nil)
	assert.ErrorIs(t, err, session.ErrNotFound)
	next, answer, err := sessions.Resume(t.Context(), client.Token, 1, 0)
	require.NoError(t, err)
	assert.Len(t, answer.Again, 2)
	require.NoError(t, next.Close(t.Context()))
	_, err = sessions.Post(t.Context(), at.ID(), nil)
	assert.ErrorIs(t, err, session.ErrNotFound)
	_, _, err = sessions.Resume(t.Context(), client.Token, 2, 0)
	assert.ErrorIs(t, err, session.ErrToken, "it was closed")
}

func TestASessionWithoutAConnectionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions, store := newSessions(session.MemoryOptions{Expiry: time.Minute, Sessions: 2}, session.Limits{})
		quiet, _ := welcome(t, sessions)
		away, client := welcome(t, sessions)
		_, _, err := sessions.Open(t.Context())
		assert.ErrorIs(t, err, session.ErrStoreFull)
		time.Sleep(time.Hour) // both have a connection: neither expires
		assert.Equal(t, 2, store.Len())

		require.NoError(t, away.Release(t.Context()))
		time.Sleep(time.Minute - 1)
		away, answer, err := sessions.Resume(t.Context(), client.Token, client.Epoch, 0)
		require.NoError(t, err)
		time.Sleep(time.Hour)
		require.NoError(t, away.Release(t.Context()))
		time.Sleep(time.Minute)
		_, _, err = sessions.Resume(t.Context(), client.Token, answer.Epoch, 0)
		assert.ErrorIs(t, err, session.ErrToken)
		assert.Equal(t, 1, store.Len())
		_, _ = welcome(t, sessions) // there is room again
		_, err = quiet.Send(t.Context(), nil)
		assert.NoError(t, err)
		_, _, err = sessions.Open(t.Context())
		assert.ErrorIs(t, err, session.ErrStoreFull)
	})
}

// The old connection's handler is still at work when the new one has a message.
func TestCallsOfOldAndNewConnectionsDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{})
		first, client := welcome(t, sessions)
		finish, second := make(chan struct{}), make(chan struct{})
		deliver := func(at *session.Session, number uint64, handle func()) {
			fresh, err := at.Deliver(context.Background(), number, handle)
			assert.NoError(t, err)
			assert.True(t, fresh)
		}
		go deliver(first, 1, func() { <-finish })
		synctest.Wait()
		at, answer, err := sessions.Resume(t.Context(), client.Token, 1, 0)
		require.NoError(t, err)
		assert.EqualValues(t, 1, answer.Handled, "what is being delivered is not sent again")
		require.NoError(t, first.Release(t.Context()))
		impatient, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err = at.Deliver(impatient, 2, func() { t.Error("overlaps") })
		require.ErrorIs(t, err, context.DeadlineExceeded)
		go deliver(at, 2, func() { close(second) })
		synctest.Wait()
		select {
		case <-second:
			t.Error("overlaps")
		default:
		}
		close(finish)
		<-second
	})
}

var errStore = errors.New("the store has failed")

// fails is what a flaky store does at its next update.
type fails int

const (
	works  fails = iota
	unsure       // it is stored, and the answer is lost
	down         // it is not stored
)

// flaky is a store that fails when it is told to, once.
type flaky struct {
	*session.Memory
	fails, deletes fails
	failed         int
}

func (f *flaky) Update(ctx context.Context, id string, change func(*session.State) error) error {
	fails := f.fails
	f.fails = works
	switch fails {
	case unsure:
		if err := f.Memory.Update(ctx, id, change); err != nil {
			return err
		}
		f.failed++
		return errStore
	case down:
		f.failed++
		return errStore
	}
	return f.Memory.Update(ctx, id, change)
}

func (f *flaky) Delete(ctx context.Context, id string) error {
	fails := f.deletes
	f.deletes = works
	if fails == down {
		return errStore
	}
	return f.Memory.Delete(ctx, id)
}

// doubtful returns a session whose client has sent a message that the store was not sure of, and
// its server, with another one.
func doubtful(t *testing.T, how fails) (store *flaky, one, other *session.Sessions, at *session.Session, client *session.Client) {
	t.Helper()
	store = &flaky{Memory: session.NewMemory(session.MemoryOptions{})}
	one, other = session.New(store, session.Options{}), session.New(store, session.Options{})
	at, client = welcome(t, one)
	message, err := client.Send([]byte("pay 5"))
	require.NoError(t, err)
	store.fails = how
	_, err = at.Deliver(t.Context(), message.Number, func() { t.Error("delivered") })
	require.ErrorIs(t, err, errStore)
	return store, one, other, at, client
}

// A Deliver fails, and the store has the number or not. Whatever comes next, the message is handled
// once.
func TestAMessageOfWhichTheStoreIsNotSureIsHandledOnce(t *testing.T) {
	ctx := t.Context()
	for how, name := range map[fails]string{unsure: "stored", down: "not stored"} {
		deliver := func(t *testing.T, at *session.Session) {
			t.Helper()
			calls := 0
			for want := range 2 {
				fresh, err := at.Deliver(ctx, 1, func() { calls++ })
				require.NoError(t, err)
				assert.Equal(t, want == 0, fresh)
			}
			assert.Equal(t, 1, calls)
		}
		resumed := func(t *testing.T, server *session.Sessions, client *session.Client) {
			t.Helper()
			at, answer, err := server.Resume(ctx, client.Token, client.Epoch, 0)
			require.NoError(t, err)
			assert.Zero(t, answer.Handled)
			again, lost, err := client.Resumed(answer)
			require.NoError(t, err)
			assert.Zero(t, lost.Len())
			assert.Len(t, again, 1)
			deliver(t, at)
			assert.Zero(t, server.Doubtful())
		}
		for next, try := range map[string]func(t *testing.T, store *flaky, one, other *session.Sessions, at *session.Session, client *session.Client){
			"the same again": func(t *testing.T, _ *flaky, _, _ *session.Sessions, at *session.Session, _ *session.Client) {
				deliver(t, at)
			},
			"not sure again": func(t *testing.T, store *flaky, _, _ *session.Sessions, at *session.Session, _ *session.Client) {
				for _, again := range []fails{unsure, down, unsure} {
					store.fails = again
					_, err := at.Deliver(ctx, 1, func() { t.Error("delivered") })
					require.ErrorIs(t, err, errStore)
				}
				deliver(t, at)
			},
			"the next message": func(t *testing.T, _ *flaky, _, _ *session.Sessions, at *session.Session, _ *session.Client) {
				_, err := at.Deliver(ctx, 2, func() { t.Error("delivered") })
				require.ErrorIs(t, err, session.ErrGap)
				deliver(t, at)
			},
			"another call": func(t *testing.T, _ *flaky, _, other *session.Sessions, at *session.Session, client *session.Client) {
				require.NoError(t, at.Acknowledge(ctx, 0))
				resumed(t, other, client)
			},
			"the client says that it is lost": func(t *testing.T, _ *flaky, _, _ *session.Sessions, at *session.Session, _ *session.Client) {
				lost, err := at.Skip(ctx, 1)
				require.NoError(t, err)
				assert.Equal(t, session.Range{From: 1, To: 1}, lost)
			},
			"a resume": func(t *testing.T, _ *flaky, one, _ *session.Sessions, _ *session.Session, client *session.Client) {
				resumed(t, one, client)
			},
			"a release": func(t *testing.T, _ *flaky, _, other *session.Sessions, at *session.Session, client *session.Client) {
				require.NoError(t, at.Release(ctx))
				resumed(t, other, client)
			},
			"a release that fails": func(t *testing.T, store *flaky, one, _ *session.Sessions, at *session.Session, client *session.Client) {
				store.fails = down
				require.ErrorIs(t, at.Release(ctx), errStore)
				assert.Equal(t, 1, one.Doubtful())
				resumed(t, one, client)
				require.NoError(t, at.Release(ctx))
			},
			"a release that fails, twice": func(t *testing.T, store *flaky, one, other *session.Sessions, at *session.Session, client *session.Client) {
				store.fails = unsure
				require.ErrorIs(t, at.Release(ctx), errStore)
				require.NoError(t, at.Release(ctx))
				assert.Zero(t, one.Doubtful())
				resumed(t, other, client)
			},
			"a login without a token": func(t *testing.T, _ *flaky, one, _ *session.Sessions, at *session.Session, _ *session.Client) {
				_, _, answer, err := one.TakeOver(ctx, at.ID())
				require.NoError(t, err)
				assert.Zero(t, answer.Handled)
			},
		} {
			t.Run(name+", "+next, func(t *testing.T) {
				store, one, other, at, client := doubtful(t, how)
				try(t, store, one, other, at, client)
			})
		}
	}
}

// Another process cannot know that a message which the store has was not handled. The connection
// that has lost it says so, once.
func TestAMessageThatMayBeLostIsNamed(t *testing.T) {
	named := "message 1 may count as delivered, and was not"
	_, _, other, at, client := doubtful(t, unsure)
	_, answer, err := other.Resume(t.Context(), client.Token, client.Epoch, 0)
	require.NoError(t, err)
	assert.EqualValues(t, 1, answer.Handled)
	err = at.Release(t.Context())
	assert.ErrorIs(t, err, session.ErrFenced)
	assert.ErrorContains(t, err, named)
	assert.NoError(t, at.Release(t.Context()))

	_, one, other, at, client := doubtful(t, unsure)
	_, answer, err = other.Resume(t.Context(), client.Token, client.Epoch, 0)
	require.NoError(t, err)
	_, _, err = one.Resume(t.Context(), client.Token, answer.Epoch, 0) // it takes the session from the other
	require.NoError(t, err)
	assert.ErrorContains(t, at.Acknowledge(t.Context(), 0), named)
	assert.Equal(t, session.ErrFenced, at.Acknowledge(t.Context(), 0))
}

// A Send that has failed leaves no gap: the next message has its number.
func TestAMessageThatWasNotSentLeavesNoGap(t *testing.T) {
	for how, name := range map[fails]string{unsure: "stored", down: "not stored"} {
		t.Run(name, func(t *testing.T) {
			store := &flaky{Memory: session.NewMemory(session.MemoryOptions{})}
			sessions := session.New(store, session.Options{Limits: session.Limits{Messages: 2, Overflow: session.Forget}})
			at, client := welcome(t, sessions)
			for i := range 5 {
				for range 2 {
					store.fails = how
					_, err := at.Send(t.Context(), []byte("not sent"))
					require.ErrorIs(t, err, errStore)
				}
				message, err := at.Send(t.Context(), []byte{byte(i)})
				require.NoError(t, err)
				fresh, err := client.Receive(message.Number)
				require.NoError(t, err)
				assert.True(t, fresh)
			}
			store.fails = how
			_, err := at.Send(t.Context(), []byte("not sent"))
			require.ErrorIs(t, err, errStore)
			require.ErrorIs(t, at.Acknowledge(t.Context(), 6), session.ErrFuture)
			require.NoError(t, store.Memory.Update(t.Context(), at.ID(), func(state *session.State) error {
				if how == unsure { // a call that was refused has changed nothing
					assert.Equal(t, session.Message{Number: 6, Data: []byte("not sent")}, state.Log.Kept[len(state.Log.Kept)-1])
				}
				return nil
			}))
			store.fails = unsure
			require.ErrorIs(t, at.Release(t.Context()), errStore)
			posted, err := sessions.Post(t.Context(), at.ID(), []byte("posted"))
			require.NoError(t, err)
			assert.EqualValues(t, 6, posted.Number)
			require.NoError(t, at.Release(t.Context())) // it takes back nothing but its own
			_, answer, err := sessions.Resume(t.Context(), client.Token, client.Epoch, client.Handled())
			require.NoError(t, err)
			assert.Equal(t, []session.Message{posted}, answer.Again)
		})
	}
}

// What a store has failed to do can be done again.
func TestReleaseAndCloseAreTriedAgain(t *testing.T) {
	open := func() (*flaky, *session.Sessions, *session.Session) {
		store := &flaky{Memory: session.NewMemory(session.MemoryOptions{Sessions: 1})}
		sessions := session.New(store, session.Options{})
		at, _ := welcome(t, sessions)
		return store, sessions, at
	}
	for _, how := range []fails{unsure, down} {
		store, sessions, at := open()
		store.fails = how
		require.ErrorIs(t, at.Release(t.Context()), errStore)
		<-at.Fenced()
		_, err := at.Send(t.Context(), nil)
		require.ErrorIs(t, err, session.ErrFenced)
		require.NoError(t, at.Release(t.Context()))
		_, err = sessions.Post(t.Context(), at.ID(), nil)
		require.NoError(t, err)
		assert.ErrorIs(t, at.Close(t.Context()), session.ErrFenced)
		assert.Zero(t, sessions.Live()+sessions.Doubtful())

		store, sessions, at = open()
		store.fails = how
		require.ErrorIs(t, at.Close(t.Context()), errStore)
		store.deletes = down
		require.ErrorIs(t, at.Close(t.Context()), errStore)
		assert.NoError(t, at.Release(t.Context()), "there is nothing to release")
		require.NoError(t, at.Close(t.Context()))
		assert.Zero(t, store.Len())
		assert.ErrorIs(t, at.Close(t.Context()), session.ErrFenced)
		welcome(t, sessions)

		store, _, at = open()
		store.fails = how
		require.ErrorIs(t, at.Release(t.Context()), errStore)
		require.NoError(t, at.Close(t.Context()), "the client is not expected back after all")
		assert.Zero(t, store.Len())
	}
}

// A session that was closed and not deleted expires as one without a connection.
func TestAClosedSessionExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &flaky{Memory: session.NewMemory(session.MemoryOptions{Expiry: time.Minute}), deletes: down}
		at, _ := welcome(t, session.New(store, session.Options{}))
		require.ErrorIs(t, at.Close(t.Context()), errStore)
		assert.Equal(t, 1, store.Len())
		time.Sleep(time.Minute)
		assert.Zero(t, store.Len())
	})
}

// What is to be undone is remembered for a bounded number of sessions.
func TestDoubtfulSessionsAreBounded(t *testing.T) {
	store := &flaky{Memory: session.NewMemory(session.MemoryOptions{})}
	sessions := session.New(store, session.Options{})
	for range 1100 {
		at, _ := welcome(t, sessions)
		store.fails = unsure
		_, err := at.Deliver(t.Context(), 1, func() { t.Error("delivered") })
		require.ErrorIs(t, err, errStore)
		store.fails = down
		require.ErrorIs(t, at.Release(t.Context()), errStore)
	}
	assert.Equal(t, 1024, sessions.Doubtful())
	assert.Zero(t, sessions.Live())
}

// A ctx that is done when a Deliver begins stops it always; one that ends after that never.
func TestTheEndOfCtxDoesNotStopADeliverHalfway(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{})
	at, _ := welcome(t, sessions)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for range 100 {
		_, err := at.Deliver(done, 1, func() { t.Error("delivered") })
		require.ErrorIs(t, err, context.Canceled)
	}
	require.NoError(t, at.Acknowledge(done, 0), "a store without a network needs no time")
	synctest.Test(t, func(t *testing.T) {
		store := &strict{slow{Store: session.NewMemory(session.MemoryOptions{})}}
		at, _ := welcome(t, session.New(store, session.Options{}))
		ctx, cancel := context.WithCancel(t.Context())
		hold, end := make(chan struct{}), make(chan bool)
		store.hold.Store(&hold)
		go func() {
			fresh, err := at.Deliver(ctx, 1, func() {})
			assert.NoError(t, err)
			end <- fresh
		}()
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(hold)
		assert.True(t, <-end)
	})
}

// strict is a slow store that is not sure of a change where ctx ends.
type strict struct{ slow }

func (s *strict) Update(ctx context.Context, id string, change func(*session.State) error) error {
	if err := s.slow.Update(ctx, id, change); err != nil {
		return err
	}
	return ctx.Err()
}

// A client that has taken a session over goes on in it: nothing that it sends or gets is taken for
// what was before.
func TestAClientGoesOnAfterATakeOver(t *testing.T) {
	for sent := range 4 {
		for acked := range sent + 1 {
			for _, limits := range []session.Limits{{}, {Messages: 1, Overflow: session.Forget}} {
				sessions, _ := newSessions(session.MemoryOptions{}, limits)
				old, device := welcome(t, sessions)
				for range sent {
					_, err := old.Send(t.Context(), []byte("x"))
					require.NoError(t, err)
					mine, err := device.Send([]byte("y"))
					require.NoError(t, err)
					_, err = old.Deliver(t.Context(), mine.Number, func() {})
					require.NoError(t, err)
				}
				require.NoError(t, old.Acknowledge(t.Context(), uint64(acked)))
				at, hello, answer, err := sessions.TakeOver(t.Context(), old.ID())
				require.NoError(t, err)
				assert.EqualValues(t, acked, answer.Acked)
				client := session.NewClientAfter(hello, answer, session.Limits{})
				talk := func() {
					for _, message := range answer.Again {
						fresh, err := client.Receive(message.Number)
						require.NoError(t, err)
						assert.True(t, fresh)
					}
					message, err := at.Send(t.Context(), []byte("new"))
					require.NoError(t, err)
					fresh, err := client.Receive(message.Number)
					require.NoError(t, err)
					assert.True(t, fresh)
					mine, err := client.Send([]byte("new"))
					require.NoError(t, err)
					fresh, err = at.Deliver(t.Context(), mine.Number, func() {})
					require.NoError(t, err)
					assert.True(t, fresh)
					require.NoError(t, client.Acknowledge(mine.Number))
					require.NoError(t, at.Acknowledge(t.Context(), client.Handled()))
				}
				unheard := *client // it comes back before it has heard anything
				_, second, err := sessions.Resume(t.Context(), unheard.Token, unheard.Epoch, unheard.Handled())
				require.NoError(t, err)
				assert.True(t, second.Recovered)
				assert.Equal(t, answer.Again, second.Again)
				at, answer, err = sessions.Resume(t.Context(), client.Token, client.Epoch, client.Handled())
				require.NoError(t, err)
				again, lost, err := client.Resumed(answer)
				require.NoError(t, err)
				assert.Empty(t, again)
				assert.Zero(t, lost.Len())
				talk()
				at, answer, err = sessions.Resume(t.Context(), client.Token, client.Epoch, client.Handled())
				require.NoError(t, err)
				_, _, err = client.Resumed(answer)
				require.NoError(t, err)
				talk()
			}
		}
	}
}

// slow is a store that holds the answer of an Update.
type slow struct {
	session.Store
	hold atomic.Pointer[chan struct{}]
}

func (s *slow) Update(ctx context.Context, id string, change func(*session.State) error) error {
	err := s.Store.Update(ctx, id, change)
	if hold := s.hold.Swap(nil); hold != nil {
		<-*hold
	}
	return err
}

// Two resumes at once: the one that came first in the store has its answer first, and is fenced.
func TestResumesOfOneSessionWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &slow{Store: session.NewMemory(session.MemoryOptions{})}
		sessions := session.New(store, session.Options{})
		_, client := welcome(t, sessions)
		hold := make(chan struct{})
		store.hold.Store(&hold)
		resume := func(ctx context.Context) (*session.Session, error) {
			at, _, err := sessions.Resume(ctx, client.Token, 1, 0)
			return at, err
		}
		answers := make(chan *session.Session, 2)
		for range 2 {
			go func() {
				at, err := resume(context.Background())
				assert.NoError(t, err)
				answers <- at
			}()
			synctest.Wait()
		}
		impatient, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := resume(impatient)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, _, _, err = sessions.TakeOver(impatient, client.Token[:22])
		require.Error(t, err)
		require.Empty(t, answers)
		close(hold)
		first, last := <-answers, <-answers
		assert.EqualValues(t, 2, first.Epoch())
		assert.EqualValues(t, 3, last.Epoch())
		<-first.Fenced()
		_, err = last.Send(t.Context(), nil)
		require.NoError(t, err)
		require.NoError(t, first.Release(t.Context()))
		assert.Equal(t, 1, sessions.Live())
		assert.Zero(t, sessions.Turns())
	})
}

// A handler that panics has had its message.
func TestAMessageWhoseHandlerPanicsIsNotDeliveredAgain(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{})
	at, _ := welcome(t, sessions)
	assert.Panics(t, func() { _, _ = at.Deliver(t.Context(), 1, func() { panic("boom") }) })
	fresh, err := at.Deliver(t.Context(), 1, func() { t.Error("again") })
	assert.NoError(t, err)
	assert.False(t, fresh)
	fresh, err = at.Deliver(t.Context(), 2, func() {})
	assert.NoError(t, err)
	assert.True(t, fresh)
}

// Many connections of one token at once: one has the session in the end, all others are fenced, and
// each message of the client's is delivered once.
func TestAStormOfLoginsLeavesOneConnection(t *testing.T) {
	sessions, _ := newSessions(session.MemoryOptions{}, session.Limits{})
	first, client := welcome(t, sessions)
	const logins, messages = 16, 50
	var mu sync.Mutex
	var delivered []uint64
	ends := make(chan *session.Session, logins+1)
	work := func(at *session.Session) {
		for number := uint64(1); number <= messages; number++ {
			_, err := at.Deliver(context.Background(), number, func() {
				mu.Lock()
				defer mu.Unlock()
				delivered = append(delivered, number)
			})
			if err != nil && !assert.ErrorIs(t, err, session.ErrFenced) {
				break
			}
		}
		ends <- at
	}
	var wg sync.WaitGroup
	wg.Go(func() { work(first) })
	for range logins {
		wg.Go(func() {
			at, _, err := sessions.Resume(context.Background(), client.Token, 1, 0)
			if errors.Is(err, session.ErrEpoch) { // a later one was heard already
				return
			}
			if assert.NoError(t, err) {
				work(at)
			}
		})
	}
	wg.Wait()
	close(ends)
	var last *session.Session
	for at := range ends {
		if last == nil || at.Epoch() > last.Epoch() {
			last = at
		}
	}
	for number := uint64(1); number <= messages; number++ { // what the fenced ones have not brought
		_, err := last.Deliver(t.Context(), number, func() { delivered = append(delivered, number) })
		require.NoError(t, err)
	}
	require.Len(t, delivered, messages)
	for i, number := range delivered {
		assert.EqualValues(t, i+1, number)
	}
}
