package inspector

import (
	"strings"
	"sync"
)

// closedRing keeps the connections that ended last. Any goroutine may call its methods.
type closedRing struct {
	most int

	mu    sync.Mutex
	all   []closedJSON // a ring once it is full
	count int          // of all ever
}

func (c *closedRing) add(one closedJSON) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.all) < c.most {
		c.all = append(c.all, one)
	} else {
		c.all[c.count%c.most] = one
	}
	c.count++
}

// each calls f for those that are kept, the newest first, until it returns false. f must not call
// the ring.
func (c *closedRing) each(f func(one *closedJSON) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := 1; n <= len(c.all); n++ {
		if !f(&c.all[(c.count-n)%c.most]) {
			return
		}
	}
}

// find returns the connection with this id, nil if it is not kept.
func (c *closedRing) find(id string) (found *closedJSON) {
	c.each(func(one *closedJSON) bool {
		if one.ID == id {
			copied := *one
			found = &copied
		}
		return found == nil
	})
	return found
}

// list returns one page of those that match, the newest first.
func (c *closedRing) list(p page, server int, text, reason string) closedPageJSON {
	answer := closedPageJSON{Offset: p.offset, Limit: p.limit, Reasons: map[string]int{}, Rows: []closedJSON{}}
	text = strings.ToLower(strings.TrimSpace(text))
	c.each(func(one *closedJSON) bool {
		answer.Reasons[one.Reason]++
		matches := (server < 0 || one.Server == server) && (reason == "" || one.Reason == reason) &&
			(text == "" || contains(one.Remote, text) || contains(one.ID, text) || contains(one.Error, text))
		if matches {
			if answer.Total >= p.offset && len(answer.Rows) < p.limit {
				answer.Rows = append(answer.Rows, *one)
			}
			answer.Total++
		}
		return true
	})
	return answer
}
