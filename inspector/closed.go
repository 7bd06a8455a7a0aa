package inspector

import (
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// hear is the Inspector's subscriber of the event stream. It does not block. Any goroutine may call
// it.
func (i *Inspector) hear(event any) {
	switch e := event.(type) {
	case *connection.Closed:
		i.ended(e.PID.GetId(), e.RemoteAddr, e.Reason, e.Err, e.Stats)
	case *connection.HandshakeFailed:
		if e.StartTLS {
			return // Closed follows
		}
		i.ended(e.PID.GetId(), e.RemoteAddr, protocol.ReasonHandshake, e.Err, protocol.Stats{Duration: e.After})
	}
}

func (i *Inspector) ended(id string, remote net.Addr, reason protocol.Reason, err error, stats protocol.Stats) {
	server := slices.IndexFunc(i.prefixes, func(prefix string) bool { return strings.HasPrefix(id, prefix) })
	if server < 0 {
		return // of a server that is not inspected
	}
	one := closedJSON{
		Time: time.Now(), ID: id, Server: server, Reason: reason.String(),
		Read: stats.Read, Written: stats.Written, Unread: stats.Unread, Unsent: stats.Unsent, Age: stats.Duration.Seconds(),
	}
	if remote != nil {
		one.Remote = remote.String()
	}
	if err != nil {
		one.Error = err.Error()
	}
	i.closed.add(one)
}

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
