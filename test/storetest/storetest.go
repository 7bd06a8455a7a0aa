// Package storetest tests a session.Store: what package session needs of it, for every store alike.
package storetest

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/session"
)

// Settings of a store that a test opens. 0 is the store's default.
type Settings struct {
	Sessions int
	Expiry   time.Duration // of a session without a connection
}

// Run runs every test. open returns an empty store, which ends with the test. step is the shortest
// Expiry that the store can have. The tests run at the same time.
func Run(t *testing.T, step time.Duration, open func(t *testing.T, settings Settings) session.Store) {
	run := func(name string, settings Settings, test func(t *testing.T, store session.Store)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, settings))
		})
	}
	run("missing", Settings{}, missing)
	run("whole", Settings{}, whole)
	run("refused", Settings{}, refused)
	run("one after another", Settings{}, oneAfterAnother)
	run("full", Settings{Sessions: 3}, full)
	run("expiry", Settings{Expiry: step, Sessions: 2}, func(t *testing.T, store session.Store) { expiry(t, store, step) })
	run("model", Settings{}, model)
	run("logins", Settings{}, logins)
	run("conversation", Settings{}, conversation)
}

// newID returns an id in the form that package session uses.
func newID() string {
	var bytes [16]byte
	_, _ = rand.Read(bytes[:])
	return base64.RawURLEncoding.EncodeToString(bytes[:])
}

// read returns what the store has.
func read(ctx context.Context, store session.Store, id string) (state session.State, err error) {
	err = store.Update(ctx, id, func(s *session.State) error {
		state = *s
		state.Log.Kept = slices.Clone(s.Log.Kept)
		return nil
	})
	return state, err
}

func untouched(t *testing.T) func(*session.State) error {
	return func(*session.State) error {
		t.Error("change was called")
		return nil
	}
}

func missing(t *testing.T, store session.Store) {
	for _, id := range []string{newID(), "", "none", "a.b", "*", ">", "a b", "ä\n", string(make([]byte, 300))} {
		assert.ErrorIs(t, store.Update(t.Context(), id, untouched(t)), session.ErrNotFound, "%q", id)
		assert.NoError(t, store.Delete(t.Context(), id), "%q", id)
	}
	id := newID()
	require.NoError(t, store.Insert(t.Context(), session.State{ID: id, Epoch: 1, Attached: true}))
	_, err := read(t.Context(), store, id)
	require.NoError(t, err)
	require.NoError(t, store.Delete(t.Context(), id))
	assert.ErrorIs(t, store.Update(t.Context(), id, untouched(t)), session.ErrNotFound)
	assert.NoError(t, store.Delete(t.Context(), id))
	assert.ErrorIs(t, store.Update(t.Context(), id, untouched(t)), session.ErrNotFound)
}

// states makes states in which every field has a value.
var states = rapid.Custom(func(t *rapid.T) session.State {
	number := rapid.Uint64Range(0, 1<<40)
	state := session.State{
		Epoch: number.Draw(t, "epoch"), Presented: number.Draw(t, "presented"),
		Confirmed: rapid.Bool().Draw(t, "confirmed"), Attached: rapid.Bool().Draw(t, "attached"), Ended: rapid.Bool().Draw(t, "ended"),
		Log: session.Log{
			Acked: number.Draw(t, "acked"), Handled: number.Draw(t, "handled"),
			Capacity: session.Limits{
				Messages: rapid.IntRange(0, 1000).Draw(t, "messages"), Bytes: rapid.IntRange(0, 1<<20).Draw(t, "bytes"),
				Overflow: rapid.SampledFrom([]session.Overflow{session.Refuse, session.Forget}).Draw(t, "overflow"),
			},
		},
	}
	copy(state.Secret[:], rapid.SliceOfN(rapid.Byte(), len(state.Secret), len(state.Secret)).Draw(t, "secret"))
	first := rapid.Uint64Range(1, 1<<40).Draw(t, "first")
	state.Log.Sent = first - 1
	for _, data := range rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), 1, 40), 0, 5).Draw(t, "data") {
		state.Log.Sent++
		state.Log.Kept = append(state.Log.Kept, session.Message{Number: state.Log.Sent, Data: data})
		state.Log.Bytes += len(data)
	}
	return state
})

// whole: a store loses no field, neither at the insert nor at an update.
func whole(t *testing.T, store session.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		state, next := states.Draw(rt, "state"), states.Draw(rt, "next")
		state.ID, next.ID = newID(), ""
		require.NoError(rt, store.Insert(t.Context(), state))
		got, err := read(t.Context(), store, state.ID)
		require.NoError(rt, err)
		require.Equal(rt, state, got)
		next.ID = state.ID
		require.NoError(rt, store.Update(t.Context(), state.ID, func(s *session.State) error {
			*s = next
			return nil
		}))
		got, err = read(t.Context(), store, state.ID)
		require.NoError(rt, err)
		require.Equal(rt, next, got)
		require.NoError(rt, store.Delete(t.Context(), state.ID))
	})
}

// refused: an error of change's comes back as it is, and nothing has changed.
func refused(t *testing.T, store session.Store) {
	id := newID()
	require.NoError(t, store.Insert(t.Context(), session.State{ID: id, Epoch: 7, Attached: true}))
	no := errors.New("no")
	for range 2 {
		err := store.Update(t.Context(), id, func(s *session.State) error { // it has begun to change it
			s.Epoch, s.Attached, s.Log.Sent = 8, false, 1
			s.Log.Kept = append(s.Log.Kept, session.Message{Number: 1})
			return no
		})
		assert.ErrorIs(t, err, no)
	}
	assert.Panics(t, func() {
		_ = store.Update(t.Context(), id, func(s *session.State) error { s.Epoch = 8; panic("boom") })
	})
	state, err := read(t.Context(), store, id)
	require.NoError(t, err)
	assert.Equal(t, session.State{ID: id, Epoch: 7, Attached: true}, state)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if err := store.Update(done, id, func(s *session.State) error { s.Epoch++; return nil }); err != nil { // a store without a network may go on
		state, err = read(t.Context(), store, id)
		require.NoError(t, err)
		assert.EqualValues(t, 7, state.Epoch)
	}
	before, err := read(t.Context(), store, id)
	require.NoError(t, err)
	ending, end := context.WithCancel(t.Context())
	err = store.Update(ending, id, func(s *session.State) error { s.Epoch++; end(); return nil }) // while it is under way
	state, readErr := read(t.Context(), store, id)
	require.NoError(t, readErr)
	if err == nil {
		assert.Equal(t, before.Epoch+1, state.Epoch)
	} else {
		assert.NotErrorIs(t, err, session.ErrNotFound)
		assert.LessOrEqual(t, state.Epoch, before.Epoch+1)
	}
}

// oneAfterAnother: no update is lost, whichever goroutine makes it.
func oneAfterAnother(t *testing.T, store session.Store) {
	const goroutines, each, sessions = 8, 25, 2
	var ids [sessions]string
	for i := range ids {
		ids[i] = newID()
		require.NoError(t, store.Insert(t.Context(), session.State{ID: ids[i], Attached: true}))
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	seen := map[string][]uint64{}
	for g := range goroutines {
		all.Go(func() {
			for i := range each {
				id, found := ids[(g+i)%sessions], uint64(0)
				err := store.Update(t.Context(), id, func(s *session.State) error {
					found = s.Epoch // a store may call this again: the last call counts
					s.Epoch++
					return nil
				})
				if !assert.NoError(t, err) {
					return
				}
				mu.Lock()
				seen[id] = append(seen[id], found)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	total := 0
	for _, found := range seen {
		slices.Sort(found)
		for i, epoch := range found {
			assert.EqualValues(t, i, epoch, "each epoch was seen by one update")
		}
		total += len(found)
	}
	assert.Equal(t, goroutines*each, total)
}

func full(t *testing.T, store session.Store) {
	var ids []string
	for range 3 {
		ids = append(ids, newID())
		require.NoError(t, store.Insert(t.Context(), session.State{ID: ids[len(ids)-1], Attached: true}))
	}
	assert.ErrorIs(t, store.Insert(t.Context(), session.State{ID: newID(), Attached: true}), session.ErrStoreFull)
	for _, id := range ids { // they can still change
		require.NoError(t, store.Update(t.Context(), id, func(s *session.State) error { s.Epoch++; return nil }))
	}
	assert.ErrorIs(t, store.Update(t.Context(), newID(), untouched(t)), session.ErrNotFound)
	require.NoError(t, store.Delete(t.Context(), newID()))
	require.NoError(t, store.Delete(t.Context(), ids[0]))
	inserted(t, store)
}

// inserted inserts a session, for which there is room soon.
func inserted(t *testing.T, store session.Store) {
	require.Eventually(t, func() bool {
		err := store.Insert(t.Context(), session.State{ID: newID(), Attached: true})
		return err == nil || !assert.ErrorIs(t, err, session.ErrStoreFull)
	}, 30*time.Second, 10*time.Millisecond)
}

func expiry(t *testing.T, store session.Store, step time.Duration) {
	stays, goes := newID(), newID()
	require.NoError(t, store.Insert(t.Context(), session.State{ID: stays, Attached: true}))
	require.NoError(t, store.Insert(t.Context(), session.State{ID: goes, Attached: true}))
	assert.ErrorIs(t, store.Insert(t.Context(), session.State{ID: newID()}), session.ErrStoreFull)
	require.NoError(t, store.Update(t.Context(), goes, func(s *session.State) error { s.Attached = false; return nil }))
	left := time.Now()
	// To ask for it does not keep it.
	no := errors.New("no")
	require.Eventually(t, func() bool {
		err := store.Update(t.Context(), goes, func(*session.State) error { return no })
		return errors.Is(err, session.ErrNotFound) || !assert.ErrorIs(t, err, no)
	}, step+30*time.Second, step/20)
	assert.GreaterOrEqual(t, time.Since(left), step*9/10)
	inserted(t, store)
	_, err := read(t.Context(), store, stays)
	assert.NoError(t, err)
}

// model runs random operations and compares with a map.
func model(t *testing.T, store session.Store) {
	rapid.Check(t, func(rt *rapid.T) {
		ids, want := []string{newID(), newID(), newID()}, map[string]session.State{}
		deleted := map[string]bool{}
		id := rapid.SampledFrom(ids)
		no := errors.New("no")
		rt.Repeat(map[string]func(*rapid.T){
			"insert": func(rt *rapid.T) {
				id := id.Draw(rt, "id")
				if _, there := want[id]; there || deleted[id] {
					return // an id is random: no two sessions have the same
				}
				state := states.Draw(rt, "state")
				state.ID = id
				if err := store.Insert(t.Context(), state); err != nil {
					rt.Fatal(err)
				}
				want[id] = state
			},
			"update": func(rt *rapid.T) {
				id, next, refuse := id.Draw(rt, "id"), states.Draw(rt, "next"), rapid.Bool().Draw(rt, "refuse")
				var before session.State
				err := store.Update(t.Context(), id, func(s *session.State) error {
					before = *s
					if refuse {
						return no
					}
					next.ID = id
					*s = next
					return nil
				})
				state, there := want[id]
				switch {
				case !there:
					require.ErrorIs(rt, err, session.ErrNotFound)
					return
				case refuse:
					require.ErrorIs(rt, err, no)
				default:
					require.NoError(rt, err)
					want[id] = next
				}
				require.Equal(rt, state, before)
			},
			"delete": func(rt *rapid.T) {
				id := id.Draw(rt, "id")
				require.NoError(rt, store.Delete(t.Context(), id))
				delete(want, id)
				deleted[id] = true
			},
		})
	})
}

// logins: many connections of one token, over two servers with one store. In the end one has the
// session, all others are fenced, and each message was delivered once and in order.
func logins(t *testing.T, store session.Store) {
	servers := []*session.Sessions{session.New(store, session.Options{}), session.New(store, session.Options{})}
	first, welcome, err := servers[0].Open(t.Context())
	require.NoError(t, err)
	const connections, messages = 6, 15
	var mu sync.Mutex
	var delivered []uint64
	var ends []*session.Session
	work := func(at *session.Session) {
		for number := uint64(1); number <= messages; number++ {
			_, err := at.Deliver(t.Context(), number, func() {
				mu.Lock()
				defer mu.Unlock()
				delivered = append(delivered, number)
			})
			if err != nil && !assert.ErrorIs(t, err, session.ErrFenced) {
				break
			}
		}
		mu.Lock()
		defer mu.Unlock()
		ends = append(ends, at)
	}
	var all sync.WaitGroup
	all.Go(func() { work(first) })
	for i := range connections {
		all.Go(func() {
			at, _, err := servers[i%len(servers)].Resume(t.Context(), welcome.Token, welcome.Epoch, 0)
			if errors.Is(err, session.ErrEpoch) { // a later one was heard already
				return
			}
			if assert.NoError(t, err) {
				work(at)
			}
		})
	}
	all.Wait()
	last := slices.MaxFunc(ends, func(a, b *session.Session) int { return int(a.Epoch()) - int(b.Epoch()) })
	for number := uint64(1); number <= messages; number++ {
		_, err := last.Deliver(t.Context(), number, func() { delivered = append(delivered, number) })
		require.NoError(t, err)
	}
	// The handlers of two servers may overlap, so the order is known within one server only.
	slices.Sort(delivered)
	require.Len(t, delivered, messages)
	for i, number := range delivered {
		require.EqualValues(t, i+1, number)
	}
	for _, at := range ends {
		if at != last {
			assert.ErrorIs(t, at.Acknowledge(t.Context(), 0), session.ErrFenced)
		}
	}
	require.NoError(t, last.Close(t.Context()))
}

// conversation: messages both ways over many connections, each at another server. Everything
// arrives once and in order.
func conversation(t *testing.T, store session.Store) {
	limits := session.Limits{Messages: 100}
	at, welcome, err := session.New(store, session.Options{Limits: limits}).Open(t.Context())
	require.NoError(t, err)
	client := session.NewClient(welcome, limits)
	var said, heard, typed, received []string
	for round := range 10 {
		for i := range 5 {
			text := fmt.Sprintf("%d.%d", round, i)
			message, err := at.Send(t.Context(), []byte(text))
			require.NoError(t, err)
			said = append(said, text)
			if i < 3 { // the others are lost with the connection
				fresh, err := client.Receive(message.Number)
				require.NoError(t, err)
				require.True(t, fresh)
				heard = append(heard, string(message.Data))
			}
			mine, err := client.Send([]byte(text))
			require.NoError(t, err)
			typed = append(typed, text)
			if i < 2 {
				_, err := at.Deliver(t.Context(), mine.Number, func() { received = append(received, string(mine.Data)) })
				require.NoError(t, err)
			}
		}
		if round%2 == 0 { // else the server does not know that it has ended
			require.NoError(t, at.Release(t.Context()))
		}
		next, resumed, err := session.New(store, session.Options{Limits: limits}).Resume(t.Context(), client.Token, client.Epoch, client.Handled())
		require.NoError(t, err)
		require.True(t, resumed.Recovered)
		again, lost, err := client.Resumed(resumed)
		require.NoError(t, err)
		require.Zero(t, lost.Len())
		if round%2 == 1 {
			require.ErrorIs(t, at.Acknowledge(t.Context(), 0), session.ErrFenced)
		}
		at = next
		for _, message := range resumed.Again {
			fresh, err := client.Receive(message.Number)
			require.NoError(t, err)
			require.True(t, fresh)
			heard = append(heard, string(message.Data))
		}
		for _, message := range again {
			_, err := at.Deliver(t.Context(), message.Number, func() { received = append(received, string(message.Data)) })
			require.NoError(t, err)
			require.NoError(t, client.Acknowledge(message.Number))
		}
		require.NoError(t, at.Acknowledge(t.Context(), client.Handled()))
	}
	assert.Equal(t, said, heard)
	assert.Equal(t, typed, received)
}
