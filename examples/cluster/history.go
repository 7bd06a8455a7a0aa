package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// record is what all clients of a run have said, and what they have got. It is written while they
// run, and judged when everything has arrived.
type record struct {
	began time.Time

	mu      sync.Mutex
	said    map[string][]*utterance // by sender; the numbers begin with 1
	got     map[string][]heard      // by member
	members map[string][]string     // of each room, from before the first line on
}

// utterance is one line as its sender knows it.
type utterance struct {
	room     string
	text     string
	said     time.Duration // since the record began
	stored   bool
	storedAt time.Duration
}

// heard is one line as a member got it.
type heard struct {
	room string
	line
}

func newRecord() *record {
	return &record{began: time.Now(), said: map[string][]*utterance{}, got: map[string][]heard{}, members: map[string][]string{}}
}

func (r *record) member(room, name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[room] = append(r.members[room], name)
}

// saying notes a line before it is said.
func (r *record) saying(name, room, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.said[name] = append(r.said[name], &utterance{room: room, text: text, said: time.Since(r.began)})
}

func (r *record) stored(name string, number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.said[name][number-1]
	u.stored, u.storedAt = true, time.Since(r.began)
}

func (r *record) hears(name, room string, l line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got[name] = append(r.got[name], heard{room, l})
}

// open counts the lines that are not stored yet, and those that some member has not got.
func (r *record) open() (unstored, missing int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lines := map[string]int{}
	for _, all := range r.said {
		for _, u := range all {
			lines[u.room]++
			if !u.stored {
				unstored++
			}
		}
	}
	for room, names := range r.members {
		for _, name := range names {
			if n := lines[room] - len(r.got[name]); n > 0 {
				missing += n
			}
		}
	}
	return unstored, missing
}

// acknowledged counts the lines that are stored.
func (r *record) acknowledged() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, all := range r.said {
		for _, u := range all {
			if u.stored {
				n++
			}
		}
	}
	return n
}

// verdict is what a check finds.
type verdict struct {
	lines, stored, deliveries int
	lost                      int // lines that were acknowledged and did not reach a member
	twice                     int // deliveries of a line that the member had
	faults                    []string
}

func (v *verdict) fault(format string, a ...any) {
	if len(v.faults) < 20 {
		v.faults = append(v.faults, fmt.Sprintf(format, a...))
	}
}

// check judges the record: every line that was acknowledged reached every member of its room once,
// nothing reached one that was not said, the lines of one sender are in order, and all members of a
// room have the same lines in the same order. A line that was not acknowledged may be there for all
// of them, or for none.
func (r *record) check() (v verdict) {
	r.mu.Lock()
	defer r.mu.Unlock()
	type key struct {
		name, text string
	}
	number := map[key]int{}
	for name, all := range r.said {
		for i, u := range all {
			number[key{name, u.text}] = i + 1
			v.lines++
			if u.stored {
				v.stored++
			}
		}
	}
	for room, names := range r.members {
		var first []heard
		for i, name := range names {
			seen, last := map[key]bool{}, map[string]int{}
			v.deliveries += len(r.got[name])
			for j, h := range r.got[name] {
				k := key{h.name, h.text}
				n := number[k]
				switch {
				case h.room != room:
					v.fault("%s of %s got a line of %s", name, room, h.room)
				case n == 0:
					v.fault("%s got a line that %s has not said: %q", name, h.name, h.text)
				case r.said[h.name][n-1].room != room:
					v.fault("%s got a line of %s's that was said in another room: %q", name, h.name, h.text)
				case seen[k]:
					v.twice++
					v.fault("%s got line %d of %s twice", name, n, h.name)
				case n <= last[h.name]:
					v.fault("%s got line %d of %s after line %d", name, n, h.name, last[h.name])
				case j > 0 && h.sequence <= r.got[name][j-1].sequence:
					v.fault("%s got sequence %d after %d", name, h.sequence, r.got[name][j-1].sequence)
				}
				seen[k], last[h.name] = true, max(last[h.name], n)
			}
			for sender, all := range r.said {
				for n, u := range all {
					if u.room == room && u.stored && !seen[key{sender, u.text}] {
						v.lost++
						v.fault("line %d of %s was acknowledged and did not reach %s", n+1, sender, name)
					}
				}
			}
			if i == 0 {
				first = r.got[name]
			} else if !slices.Equal(first, r.got[name]) {
				v.fault("%s and %s have not the same lines in the same order", names[0], name)
			}
		}
	}
	return v
}

// latencies returns how long each line took from being said to being stored, the shortest first,
// for the lines said within a time.
func (r *record) latencies(from, to time.Duration) (all []time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, lines := range r.said {
		for _, u := range lines {
			if u.stored && u.said >= from && u.said < to {
				all = append(all, u.storedAt-u.said)
			}
		}
	}
	slices.Sort(all)
	return all
}

// stall returns the longest time that a line has waited for its acknowledgement since a moment. It
// counts the lines that were stored since, and those that are not stored yet.
func (r *record) stall(since time.Duration) (longest time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Since(r.began)
	for _, lines := range r.said {
		for _, u := range slices.Backward(lines) {
			end := now
			if u.stored {
				end = u.storedAt
			}
			if end < since { // and so those before it
				break
			}
			longest = max(longest, end-max(u.said, since))
		}
	}
	return longest
}
