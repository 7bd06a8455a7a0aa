package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/go-berth/berth"
)

const (
	recentLines = 1024 // that a gateway keeps of each room, for members that come back
	beat        = time.Second
	mostNames   = 100 // of one gateway's members in one room, that the others are told
)

// room is a room as one gateway has it, while members are there. One goroutine reads its lines from
// the store and gives each to all members: however many there are, the room is read once.
type room struct {
	name    string
	lines   *lines
	users   int // members, and those that are about to be; under the gateway's lock
	stop    context.CancelFunc
	stopped sync.WaitGroup
	beats   *nats.Subscription

	mu     sync.Mutex
	recent []kept
	floor  uint64 // every line after it is in recent, up to last
	last   uint64 // the last line read
	group  berth.Group
	ahead  map[*member]uint64 // members that have lines which this gateway has not read yet
	names  map[*member]string
	others map[string]presence // by gateway
}

// kept is a line that was read.
type kept struct {
	sequence uint64
	payload  []byte
}

// presence is what a gateway says of its members in one room.
type presence struct {
	Gateway string   `json:"gateway"`
	Names   []string `json:"names"`
	heard   time.Time
}

func newRoom(ctx context.Context, name string, lines *lines, conn *nats.Conn, after uint64) (*room, error) {
	ctx, stop := context.WithCancel(ctx)
	r := &room{
		name: name, lines: lines, stop: stop, floor: after, last: after,
		ahead: map[*member]uint64{}, names: map[*member]string{}, others: map[string]presence{},
	}
	var err error
	if r.beats, err = conn.Subscribe("presence."+name, r.hear); err != nil {
		stop()
		return nil, err
	}
	r.stopped.Go(func() {
		_ = lines.follow(ctx, name, after, true, func(l line) bool {
			r.deliver(l)
			return true
		})
	})
	return r, nil
}

// close ends the reader and waits for it.
func (r *room) close() {
	r.stop()
	_ = r.beats.Unsubscribe()
	r.stopped.Wait()
}

// deliver gives a line to every member. A member that is too slow is closed: it comes back at the
// line where it is.
func (r *room) deliver(l line) {
	payload := l.payload(r.name)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recent = append(r.recent, kept{l.sequence, payload})
	if len(r.recent) > 2*recentLines {
		r.floor = r.recent[recentLines-1].sequence
		r.recent = slices.Clone(r.recent[recentLines:])
	}
	r.last = l.sequence
	if _, err := r.group.WriteOwned(payload); err != nil {
		slog.Warn("a line was refused", "room", r.name, "error", err)
	}
	for m, has := range r.ahead {
		if has > l.sequence {
			continue
		}
		delete(r.ahead, m)
		if m.socket != nil && r.group.AddWith(m.socket, berth.SlowClose) == nil && has < l.sequence {
			_ = m.socket.WriteOwned(payload, nil)
		}
	}
}

// join brings a member to the present, from the line that it has, and gives it every later line. It
// waits where the member does not read.
func (r *room) join(ctx context.Context, m *member, has uint64) error {
	for {
		r.mu.Lock()
		if has < r.floor {
			upto := r.floor
			r.mu.Unlock()
			if err := r.catchUp(ctx, m, has, upto); err != nil {
				return err
			}
			has = upto
			continue
		}
		i, _ := slices.BinarySearchFunc(r.recent, has+1, func(k kept, sequence uint64) int { return int(k.sequence) - int(sequence) })
		missing := r.recent[i:]
		if len(missing) == 0 {
			err := r.addLocked(m, has)
			r.mu.Unlock()
			return err
		}
		var payload []byte
		for _, k := range missing[:min(len(missing), 64)] {
			payload = append(payload, k.payload...)
			has = k.sequence
		}
		r.mu.Unlock()
		if _, err := m.socket.WriteContext(ctx, payload); err != nil {
			return err
		}
	}
}

// addLocked makes a member of one that has every line that was read.
func (r *room) addLocked(m *member, has uint64) error {
	r.names[m] = m.name
	if has > r.last {
		r.ahead[m] = has
		return nil
	}
	return r.group.AddWith(m.socket, berth.SlowClose)
}

// catchUp writes the lines between two that only the store has.
func (r *room) catchUp(ctx context.Context, m *member, after, upto uint64) error {
	var failed error
	err := r.lines.follow(ctx, r.name, after, false, func(l line) bool {
		if l.sequence > upto {
			return false
		}
		_, failed = m.socket.WriteContext(ctx, l.payload(r.name))
		return failed == nil && l.sequence < upto
	})
	if failed != nil {
		return failed
	}
	return err
}

func (r *room) leave(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.group.Remove(m.socket)
	delete(r.ahead, m)
	delete(r.names, m)
}

// hear takes what a gateway says of its members.
func (r *room) hear(message *nats.Msg) {
	var p presence
	if json.Unmarshal(message.Data, &p) != nil {
		return
	}
	p.heard = time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.others[p.Gateway] = p
}

// say tells the other gateways who is here.
func (r *room) say(conn *nats.Conn, gateway string) {
	r.mu.Lock()
	names := slices.Sorted(maps.Values(r.names))
	r.mu.Unlock()
	data, err := json.Marshal(presence{Gateway: gateway, Names: names[:min(len(names), mostNames)]})
	if err == nil {
		_ = conn.Publish("presence."+r.name, data) // the next beat says it again
	}
}

// members returns the names of those present, as far as this gateway has heard.
func (r *room) members(gateway string) (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	names = slices.Collect(maps.Values(r.names))
	for from, p := range r.others {
		switch {
		case from == gateway:
		case time.Since(p.heard) > 3*beat: // it has ended
			delete(r.others, from)
		default:
			names = append(names, p.Names...)
		}
	}
	slices.Sort(names)
	return names
}
