package session_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/session"
)

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
