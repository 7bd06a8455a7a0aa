package sim

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"testing"

	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/sched"
)

// ordered is a simulated network in which one goroutine runs at a time, in an order that the seed
// decides. Everything in such a world repeats.
type ordered struct {
	simulated
	run *sched.Run
}

func (o *ordered) rest(w *world) {
	for o.run.Rest(); o.clients.full(w.recorder.Moved()); o.run.Rest() {
		sched.Sleep(discovery)
	}
	w.recorder.Note(history.Rest)
}

// inOrder runs one world step by step.
func inOrder(t *testing.T, seed uint64, steps int, policy sched.Policy) (r run) {
	rng := rand.New(rand.NewPCG(seed, 0))
	r = run{seed: seed, steps: steps, plan: newPlan(rng)}
	var left error
	r.err = inBubble(t, fmt.Sprintf("seed %d", seed), func() {
		options := sched.Options{Policy: policy, Seed: seed, Throughput: pick(rng, 1, 1, 3, 100), Strict: *strict}
		done, err := sched.Do(options, func(run *sched.Run) {
			w := &world{seed: seed, plan: r.plan, ground: &ordered{run: run}, rng: rng, system: newSystem()}
			r.records, left = w.history(steps)
			r.operations = w.operations(r.records)
		})
		if err != nil {
			left = err
			return
		}
		r.taken = done.Taken()
	})
	if r.err == nil {
		r.err = left
		r.violations = check.Violations(r.plan.world(), r.records)
	}
	return r
}

// hash returns a number that differs if two histories differ in a record.
func (r run) hash() uint64 {
	h := fnv.New64a()
	for i := range r.records {
		fmt.Fprintf(h, "%v %x\n", r.records[i], r.records[i].Bytes)
	}
	for _, c := range r.taken {
		fmt.Fprintln(h, c.Thread, c.Of, c.Index)
	}
	return h.Sum64()
}

func TestASeedIsOneHistory(t *testing.T) {
	for seed := uint64(1); seed <= *seeds; seed++ {
		first := inOrder(t, seed, *steps, sched.Random(seed))
		second := inOrder(t, seed, *steps, sched.Random(seed))
		if len(first.taken) > 50000 {
			t.Logf("seed %d: %d steps, %d records", seed, len(first.taken), len(first.records))
		}
		if first.failed() {
			first.show(t)
		}
		if first.hash() != second.hash() {
			t.Errorf("seed %d: %d records and %d steps, then %d and %d", seed, len(first.records), len(first.taken), len(second.records), len(second.taken))
			for i := range min(len(first.taken), len(second.taken)) {
				if first.taken[i] != second.taken[i] {
					t.Logf("step %d: %+v, then %+v", i, first.taken[i], second.taken[i])
					break
				}
			}
			for i := range min(len(first.records), len(second.records)) {
				a, b := first.records[i].String(), second.records[i].String()
				if a != b {
					for k := max(0, i-10); k < i; k++ {
						t.Log(first.records[k].String())
					}
					t.Logf("record %d:\n%s\n%s", i, a, b)
					break
				}
			}
			if t.Failed() {
				return
			}
		}
	}
}
