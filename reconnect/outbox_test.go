package reconnect

import (
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// writeOf is one write of the model, which knows what the wire took.
type writeOf struct {
	id, size   int
	idempotent bool
	everSent   bool // at least one byte of it went out, on any connection
}

// Random lives of connections: every write gets exactly one outcome, in the end; a write that is
// said to be never sent was never sent; a write that was sent and is not idempotent is never given
// to another connection; writes that wait stay in order; and both limits hold.
func TestTheAccountsOfRandomConnections(t *testing.T) {
	errEnd := errors.New("the end")
	rapid.Check(t, func(t *rapid.T) {
		o := outbox{maxWrites: rapid.IntRange(1, 8).Draw(t, "maxWrites"), maxBytes: rapid.IntRange(1, 40).Draw(t, "maxBytes")}
		writes := map[int]*writeOf{}
		outcomes := map[int]Outcome{}
		byEntry := map[*entry]*writeOf{}
		var told int // by verdicts
		next, wire := 0, 0
		foreign := rapid.Bool().Draw(t, "the handler writes too")
		var onWire []*writeOf // given to this connection, not written; nil is a byte of the handler's
		conclude := func(w *writeOf, outcome Outcome) {
			if before, twice := outcomes[w.id]; twice {
				t.Fatalf("write %d is %v and then %v", w.id, before, outcome)
			}
			outcomes[w.id] = outcome
			if outcome == NeverSent && w.everSent {
				t.Fatalf("write %d was sent", w.id)
			}
		}
		conclusions := func(verdicts []verdict) {
			for _, v := range verdicts {
				told++
				v.done(v.outcome, v.err)
			}
		}
		var given []*entry
		written := 0 // bytes of the first on the wire
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				w := &writeOf{id: next, size: rapid.IntRange(0, 12).Draw(t, "size"), idempotent: rapid.Bool().Draw(t, "idempotent")}
				bytes := o.bytes
				err := o.add(Write{Data: make([]byte, w.size), Idempotent: w.idempotent, Done: func(outcome Outcome, _ error) { conclude(w, outcome) }})
				fits := o.writes <= o.maxWrites && bytes+w.size <= o.maxBytes
				if err == nil {
					next++
					writes[w.id] = w
					byEntry[o.waiting.entries[len(o.waiting.entries)-1]] = w
				} else if w.size <= o.maxBytes && fits && o.writes < o.maxWrites {
					t.Fatalf("refused although there is room: %v", err)
				}
			},
			"give": func(t *rapid.T) {
				e := o.give()
				if e == nil {
					return
				}
				if rapid.Bool().Draw(t, "refused") {
					o.refused(e)
					return
				}
				given = append(given, e)
				onWire = append(onWire, byEntry[e])
			},
			"the handler writes": func(*rapid.T) {
				if foreign {
					onWire = append(onWire, nil)
				}
			},
			"the kernel takes": func(t *rapid.T) {
				for n := rapid.IntRange(1, 20).Draw(t, "bytes"); len(onWire) > 0; {
					w := onWire[0]
					size := 1
					if w != nil {
						size = w.size
					}
					if size > written && n == 0 {
						break
					}
					took := min(n, size-written)
					n -= took
					written += took
					wire += took
					if w != nil && took > 0 {
						w.everSent = true
					}
					if written < size {
						break
					}
					onWire, written = onWire[1:], 0
					if w != nil {
						o.sent(given[0])
						given = given[1:]
						conclude(w, Written)
					}
				}
			},
			"the connection ends": func(*rapid.T) {
				before := slices.Clone(o.waiting.entries[o.waiting.head:])
				verdicts, maybe := o.ended(uint64(wire), errEnd)
				if maybe < len(verdicts) {
					t.Fatalf("%d verdicts, %d maybe sent", len(verdicts), maybe)
				}
				conclusions(verdicts)
				if !foreign && maybe > 1 {
					t.Fatalf("%d writes may have been sent; the kernel can have taken a part of one only", maybe)
				}
				for _, e := range o.waiting.entries[o.waiting.head:] {
					if w := byEntry[e]; w.everSent && !w.idempotent {
						t.Fatalf("write %d would be sent twice", w.id)
					}
				}
				after := o.waiting.entries[o.waiting.head:]
				if !slices.Equal(before, after[len(after)-len(before):]) {
					t.Fatal("what waited has moved")
				}
				given, onWire, written, wire = nil, nil, 0, 0
			},
			"": func(t *rapid.T) {
				ids := []int{}
				bytes := 0
				for _, e := range append(slices.Clone(o.given), o.waiting.entries[o.waiting.head:]...) {
					ids = append(ids, byEntry[e].id)
					bytes += len(e.Data)
				}
				if !slices.IsSorted(ids) {
					t.Fatalf("out of order: %v", ids)
				}
				if o.writes > o.maxWrites || o.bytes > o.maxBytes || o.writes != len(ids) || o.bytes != bytes {
					t.Fatalf("%d writes of %d bytes, counted %d of %d", len(ids), bytes, o.writes, o.bytes)
				}
			},
		})
		verdicts, _ := o.ended(uint64(wire), errEnd)
		conclusions(verdicts)
		conclusions(o.close(errEnd))
		if len(outcomes) != len(writes) || o.writes != 0 || o.bytes != 0 {
			t.Fatalf("%d of %d writes have an outcome; %d writes, %d bytes are left", len(outcomes), len(writes), o.writes, o.bytes)
		}
		if total := o.written + o.neverSent + o.maybeSent; total != uint64(len(writes)) || int(o.neverSent+o.maybeSent) != told {
			t.Fatalf("counted %d of %d writes", total, len(writes))
		}
	})
}

// A write that the connection drops makes the places of those behind it earlier.
func TestADroppedWriteMovesTheOthersUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := outbox{maxWrites: 10, maxBytes: 1000}
		sizes := rapid.SliceOfN(rapid.IntRange(1, 9), 2, 10).Draw(t, "sizes")
		var entries []*entry
		for _, n := range sizes {
			if err := o.add(Write{Data: make([]byte, n)}); err != nil {
				t.Fatal(err)
			}
			entries = append(entries, o.give())
		}
		drop := rapid.IntRange(0, len(sizes)-1).Draw(t, "dropped")
		if v := o.dropped(entries[drop], errors.New("slow")); v.outcome != NeverSent {
			t.Fatalf("dropped, and %v", v.outcome)
		}
		left := slices.Delete(entries, drop, drop+1)
		sent := rapid.IntRange(0, len(left)).Draw(t, "sent whole")
		bytes := 0
		for _, e := range left[:sent] {
			bytes += len(e.Data)
			o.sent(e)
		}
		if sent < len(left) { // and the first byte of the next
			verdicts, maybe := o.ended(uint64(bytes+1), errors.New("the end"))
			if len(verdicts) != 1 || maybe != 1 || o.waiting.len() != len(left)-sent-1 {
				t.Fatalf("%d may have been sent, %d wait", maybe, o.waiting.len())
			}
		}
	})
}
