package sessionnats_test

import (
	"context"
	"errors"
	"flag"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/session"
	"github.com/go-berth/berth/sessionnats"
)

var (
	faultsFor  = flag.Duration("faults.for", 0, "how long random nodes are killed in turn; 0: the leader ends once, in an orderly way")
	faultsSeed = flag.Uint64("faults.seed", 0, "0: a random one")
)

// count reads a session's epoch, and raises it by n.
func count(ctx context.Context, store session.Store, id string, n uint64) (before uint64, err error) {
	err = store.Update(ctx, id, func(s *session.State) error {
		before = s.Epoch
		s.Epoch += n
		return nil
	})
	return before, err
}

// operation is one Update as a client sees it.
type operation struct {
	id  string
	add bool // else it only reads: change refuses
}

type outcome struct {
	before uint64
	err    error
}

var errRefused = errors.New("refused")

// model says what a session's epoch may be after an operation.
var model = porcupine.NondeterministicModel{
	Partition: func(history []porcupine.Operation) (parts [][]porcupine.Operation) {
		byID := map[string][]porcupine.Operation{}
		for _, o := range history {
			id := o.Input.(operation).id
			byID[id] = append(byID[id], o)
		}
		for _, part := range byID {
			parts = append(parts, part)
		}
		return parts
	},
	Init: func() []any { return []any{uint64(0)} },
	Step: func(state, input, output any) []any {
		epoch, in, out := state.(uint64), input.(operation), output.(outcome)
		switch {
		case errors.Is(out.err, sessionnats.ErrUnavailable):
			return []any{epoch}
		case errors.Is(out.err, sessionnats.ErrUnsure) && in.add:
			return []any{epoch, epoch + 1}
		case errors.Is(out.err, sessionnats.ErrUnsure):
			return []any{epoch}
		case out.before != epoch:
			return nil
		case in.add && out.err == nil:
			return []any{epoch + 1}
		case !in.add && errors.Is(out.err, errRefused):
			return []any{epoch}
		}
		return nil
	},
	Equal: func(a, b any) bool { return a == b },
}

// While nodes end, by kill -9 too, and are started again, four clients at two gateways' stores
// update three sessions. What they see is linearizable: an update that was acknowledged is never
// lost, one that was refused has changed nothing, and no answer is old.
func TestUpdatesAreLinearizableWhileNodesEnd(t *testing.T) {
	t.Parallel()
	seed := *faultsSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	c := newCluster(t)
	stores := []*sessionnats.Store{c.open(t, sessionnats.Options{}), c.open(t, sessionnats.Options{Cache: -1})}
	ids := []string{"one", "two", "three"}
	for _, id := range ids {
		require.NoError(t, stores[0].Insert(t.Context(), session.State{ID: id, Attached: true}))
	}
	var mu sync.Mutex
	var history []porcupine.Operation
	var done sync.WaitGroup
	stop, began := make(chan struct{}), time.Now()
	for client := range 4 {
		seed := random.Uint64()
		done.Go(func() {
			random := rand.New(rand.NewPCG(seed, 0))
			for {
				select {
				case <-stop:
					return
				default:
				}
				in := operation{id: ids[random.IntN(len(ids))], add: random.IntN(4) > 0}
				var out outcome
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				called := time.Since(began)
				out.err = stores[client%len(stores)].Update(ctx, in.id, func(s *session.State) error {
					out.before = s.Epoch
					if !in.add {
						return errRefused
					}
					s.Epoch++
					return nil
				})
				returned := time.Since(began)
				cancel()
				if errors.Is(out.err, sessionnats.ErrUnsure) {
					returned = math.MaxInt64 // it may take effect later
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: client, Input: in, Call: int64(called), Output: out, Return: int64(returned)})
				mu.Unlock()
			}
		})
	}
	kills, longest := 0, time.Duration(0)
	more := func() { // operations, around every fault
		mu.Lock()
		before := len(history)
		mu.Unlock()
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(history) >= before+20
		}, patience, 5*time.Millisecond)
	}
	fault := func(i int, end func(i int)) {
		more()
		end(i)
		ended := time.Now()
		kills++
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for ctx.Err() == nil { // with two nodes of three it goes on
			if _, err := count(ctx, stores[0], "another", 0); errors.Is(err, session.ErrNotFound) {
				break
			}
		}
		require.NoError(t, ctx.Err())
		longest = max(longest, time.Since(ended))
		more()
		c.start(t, i)
		if *faultsFor == 0 {
			return
		}
		require.Eventually(t, func() bool { // it has caught up: another may end
			current, err := stores[0].Stream().Current(t.Context())
			return err == nil && current
		}, patience, 10*time.Millisecond)
	}
	if *faultsFor == 0 {
		leader, _ := c.leader(t, stores[0])
		fault(leader, func(i int) { c.stop(t, i) })
	}
	for time.Since(began) < *faultsFor {
		fault(random.IntN(3), c.kill)
	}
	close(stop)
	done.Wait()
	results := map[string]int{}
	for _, o := range history {
		switch out := o.Output.(outcome); {
		case out.err == nil, errors.Is(out.err, errRefused):
			results["confirmed"]++
		case errors.Is(out.err, sessionnats.ErrUnsure):
			results["unsure"]++
		case errors.Is(out.err, sessionnats.ErrUnavailable):
			results["unavailable"]++
		default:
			assert.NoError(t, out.err)
		}
	}
	t.Logf("%d nodes ended, %d updates: %v; longest time to go on %v", kills, len(history), results, longest)
	assert.NotZero(t, results["confirmed"])
	assert.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(model.ToModel(), history, patience))
}

// The model itself refuses what must not be.
func TestTheModelRefusesWhatIsNotLinearizable(t *testing.T) {
	t.Parallel()
	history := func(outs ...outcome) (all []porcupine.Operation) {
		for i, out := range outs {
			o := porcupine.Operation{Input: operation{id: "x", add: !errors.Is(out.err, errRefused)}, Output: out, Call: int64(2 * i), Return: int64(2*i + 1)}
			if errors.Is(out.err, sessionnats.ErrUnsure) {
				o.Return = math.MaxInt64
			}
			all = append(all, o)
		}
		return all
	}
	good, refused := outcome{}, outcome{err: errRefused}
	at := func(o outcome, before uint64) outcome { o.before = before; return o }
	for name, c := range map[string]struct {
		history []porcupine.Operation
		want    bool
	}{
		"in order":                    {history(good, at(good, 1), at(refused, 2)), true},
		"lost":                        {history(good, at(good, 0)), false},
		"old answer":                  {history(good, at(refused, 0)), false},
		"unsure, done":                {history(outcome{err: sessionnats.ErrUnsure}, at(good, 1)), true},
		"unsure, not done":            {history(outcome{err: sessionnats.ErrUnsure}, at(good, 0)), true},
		"unsure, done late":           {history(outcome{err: sessionnats.ErrUnsure}, at(good, 0), at(good, 2)), true},
		"unsure, twice":               {history(outcome{err: sessionnats.ErrUnsure}, at(good, 2)), false},
		"unavailable, but it was not": {history(outcome{err: sessionnats.ErrUnavailable}, at(good, 1)), false},
	} {
		assert.Equal(t, c.want, porcupine.CheckOperations(model.ToModel(), c.history), name)
	}
}

// Without a quorum nothing is acknowledged, neither a change nor that something is not there. With
// it again all goes on, and what was acknowledged is there.
func TestWithoutAQuorumNothingIsAcknowledged(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	store := c.open(t, sessionnats.Options{Timeout: 700 * time.Millisecond})
	const id = "session"
	require.NoError(t, store.Insert(t.Context(), session.State{ID: id, Attached: true}))
	require.NoError(t, store.Insert(t.Context(), session.State{ID: "other", Attached: true}))
	acknowledged, unsure := uint64(0), uint64(0)
	for range 10 {
		_, err := count(t.Context(), store, id, 1)
		require.NoError(t, err)
		acknowledged++
	}
	_, others := c.leader(t, store)
	for _, i := range others {
		c.kill(i)
	}
	var tries sync.WaitGroup
	for name, try := range map[string]func() error{
		"update": func() error {
			_, err := count(t.Context(), store, id, 1)
			if errors.Is(err, sessionnats.ErrUnsure) {
				unsure++
			}
			return err
		},
		"refused": func() error {
			return store.Update(t.Context(), "other", func(*session.State) error { return errRefused })
		},
		"missing":  func() error { _, err := count(t.Context(), store, "missing", 1); return err },
		"insert":   func() error { return store.Insert(t.Context(), session.State{ID: "new", Attached: true}) },
		"delete":   func() error { return store.Delete(t.Context(), "gone") },
		"sessions": func() error { _, _, err := session.New(store, session.Options{}).Open(t.Context()); return err },
	} {
		tries.Go(func() {
			err := try()
			assert.True(t, errors.Is(err, sessionnats.ErrUnavailable) || errors.Is(err, sessionnats.ErrUnsure), "%s: %v", name, err)
			assert.NotErrorIs(t, err, errRefused, name)
			assert.NotErrorIs(t, err, session.ErrNotFound, name)
		})
	}
	tries.Wait()
	c.start(t, others[0])
	restored := time.Now()
	var before uint64
	require.Eventually(t, func() bool {
		var err error
		before, err = count(t.Context(), store, id, 1)
		if errors.Is(err, sessionnats.ErrUnsure) {
			unsure++
		}
		return err == nil
	}, patience, time.Millisecond)
	t.Logf("it went on %v after the quorum was there again", time.Since(restored))
	assert.GreaterOrEqual(t, before, acknowledged)
	assert.LessOrEqual(t, before, acknowledged+unsure)
	assert.ErrorIs(t, store.Update(t.Context(), "missing", func(*session.State) error { return nil }), session.ErrNotFound)
}

// A gateway that is cut off from its clients does not know that another has taken the session. Its
// next call finds it out, and changes nothing.
func TestAnotherGatewayFencesTheFirst(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	store := c.open(t, sessionnats.Options{})
	one, other := session.New(store, session.Options{}), session.New(c.open(t, sessionnats.Options{}), session.Options{})
	old, welcome, err := one.Open(t.Context())
	require.NoError(t, err)
	_, err = old.Deliver(t.Context(), 1, func() {})
	require.NoError(t, err)
	_, others := c.leader(t, store)
	c.kill(others[0])
	now, resumed, err := other.Resume(t.Context(), welcome.Token, welcome.Epoch, 0)
	require.NoError(t, err)
	assert.EqualValues(t, 1, resumed.Handled)
	_, err = old.Deliver(t.Context(), 2, func() { t.Error("delivered") })
	assert.ErrorIs(t, err, session.ErrFenced)
	_, err = old.Send(t.Context(), []byte("x"))
	assert.ErrorIs(t, err, session.ErrFenced)
	message, err := now.Send(t.Context(), []byte("x"))
	require.NoError(t, err)
	assert.EqualValues(t, 1, message.Number)
	_, _, err = one.Resume(t.Context(), welcome.Token[:32]+welcome.Token[:32], 1, 0)
	assert.ErrorIs(t, err, session.ErrToken, "forged")
	_, _, err = one.Resume(t.Context(), welcome.Token, 9, 0)
	assert.ErrorIs(t, err, session.ErrFuture)
	require.NoError(t, now.Acknowledge(t.Context(), 1))
	_, _, err = one.Resume(t.Context(), welcome.Token, welcome.Epoch, 0)
	assert.ErrorIs(t, err, session.ErrEpoch)
}
