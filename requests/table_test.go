package requests

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// asked is a request as the model knows it: a line of them, and nothing clever.
type asked struct {
	c      *call[int, int]
	placed bool
	ended  bool
}

func checkTable(t *rapid.T, inOrder bool) {
	began := time.Unix(1000, 0)
	now := began
	tab := &table[int, int]{inOrder: inOrder, most: rapid.IntRange(1, 6).Draw(t, "most")}
	var all []*asked
	places := func() (placed []*asked) {
		for _, a := range all {
			if a.placed {
				placed = append(placed, a)
			}
		}
		return placed
	}
	pick := func(t *rapid.T) *asked {
		if len(all) == 0 {
			return nil
		}
		return all[rapid.IntRange(0, len(all)-1).Draw(t, "which")]
	}
	ends := func(a *asked, open bool) {
		if open == a.ended {
			t.Fatalf("request %d: open %v, ended %v", a.c.number, open, a.ended)
		}
		a.ended = true
	}
	t.Repeat(map[string]func(*rapid.T){
		"add": func(t *rapid.T) {
			c := &call[int, int]{id: rapid.IntRange(0, 8).Draw(t, "id")}
			if after := rapid.IntRange(0, 5).Draw(t, "deadline"); after > 0 {
				c.deadline = now.Add(time.Duration(after))
			}
			placed := places()
			full := len(placed) >= tab.most
			taken := !inOrder && slices.ContainsFunc(placed, func(a *asked) bool { return a.c.id == c.id })
			if err := tab.add(c); (err != nil) != (full || taken) {
				t.Fatalf("full %v, taken %v: %v", full, taken, err)
			} else if err == nil {
				all = append(all, &asked{c: c, placed: true})
			}
		},
		"answer": func(t *rapid.T) {
			placed := places()
			if inOrder {
				c, open := tab.next()
				if len(placed) == 0 {
					if c != nil {
						t.Fatal("an answer to nothing")
					}
					return
				}
				first := placed[0]
				if c != first.c {
					t.Fatalf("the answer went to %d and not to %d", c.number, first.c.number)
				}
				if open != !first.ended {
					t.Fatalf("open %v, ended %v", open, first.ended)
				}
				first.placed, first.ended = false, true
				return
			}
			id := rapid.IntRange(0, 8).Draw(t, "id")
			c, err := tab.of(id)
			if err != nil {
				t.Fatal(err)
			}
			i := slices.IndexFunc(placed, func(a *asked) bool { return a.c.id == id })
			if (c == nil) != (i < 0) || i >= 0 && placed[i].c != c {
				t.Fatalf("the answer to %d went wrong", id)
			}
			if i >= 0 {
				ends(placed[i], true)
				placed[i].placed = false
			}
		},
		"withdraw": func(t *rapid.T) {
			if a := pick(t); a != nil {
				open := tab.withdraw(a.c)
				if open == a.ended {
					t.Fatalf("open %v, ended %v", open, a.ended)
				}
				a.placed, a.ended = false, true
			}
		},
		"abandon": func(t *rapid.T) {
			if a := pick(t); a != nil {
				if open := tab.abandon(a.c); open == a.ended {
					t.Fatalf("open %v, ended %v", open, a.ended)
				}
				a.ended = true
				a.placed = a.placed && inOrder
			}
		},
		"time": func(t *rapid.T) {
			now = now.Add(time.Duration(rapid.IntRange(0, 3).Draw(t, "passes")))
			var want []*call[int, int]
			for _, a := range all {
				if !a.ended && !a.c.deadline.IsZero() && !a.c.deadline.After(now) {
					want = append(want, a.c)
					a.ended = true
					a.placed = inOrder
				}
			}
			slices.SortStableFunc(want, func(a, b *call[int, int]) int { return a.deadline.Compare(b.deadline) })
			if got := tab.expire(now); !slices.Equal(got, want) {
				t.Fatalf("expired %d, should be %d", len(got), len(want))
			}
		},
		"fail": func(t *rapid.T) {
			var want []*call[int, int]
			for _, a := range all {
				if a.placed && !a.ended {
					want = append(want, a.c)
				}
				a.placed, a.ended = false, true
			}
			if got := tab.fail(); !slices.Equal(got, want) {
				t.Fatalf("failed %d, should be %d", len(got), len(want))
			}
		},
		"": func(t *rapid.T) {
			if n := len(places()); tab.len() != n || n > tab.most {
				t.Fatalf("%d places, should be %d of %d", tab.len(), n, tab.most)
			}
			var earliest time.Time
			for _, a := range all {
				if d := a.c.deadline; !a.ended && !d.IsZero() && (earliest.IsZero() || d.Before(earliest)) {
					earliest = d
				}
			}
			if !tab.earliest().Equal(earliest) {
				t.Fatalf("the earliest deadline is %v and not %v", earliest, tab.earliest())
			}
		},
	})
}

// Random requests, answers, deadlines and ends against a plain list: every request ends once, each
// answer goes where it belongs, and the limit holds.
func TestAnswersInOrderAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkTable(t, true) })
}

func TestAnswersByIdentifierAgainstAList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) { checkTable(t, false) })
}
