package session_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func newSessions(options session.MemoryOptions, limits session.Limits) (*session.Sessions, *session.Memory) {
	store := session.NewMemory(options)
	return session.New(store, session.Options{Limits: limits}), store
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
