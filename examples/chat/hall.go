package main

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/go-berth/berth"
)

// hall is all rooms and all members. Nothing is written under its lock.
type hall struct {
	mu      sync.Mutex
	names   map[string]*member
	rooms   map[string]*room
	entered int // members ever, for the first names
}

// room is a group and the names of its members. It ends with its last member.
type room struct {
	name    string
	members map[*member]struct{}
	berth.Group
}

func newHall() *hall {
	return &hall{names: map[string]*member{}, rooms: map[string]*room{}}
}

// handlers makes a member of each connection.
func (h *hall) handlers() berth.Factory {
	return berth.Handlers(func() berth.Handler { return newMember(h) })
}

// enter gives a new member a name.
func (h *hall) enter(m *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for m.name == "" || h.names[m.name] != nil {
		h.entered++
		m.name = fmt.Sprintf("guest%d", h.entered)
	}
	h.names[m.name] = m
}

// rename gives a member another name. It returns the old one, and false if the name is taken.
func (h *hall) rename(m *member, name string) (old string, free bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if other := h.names[name]; m.gone || (other != nil && other != m) {
		return m.name, false
	}
	delete(h.names, m.name)
	old, m.name = m.name, name
	h.names[name] = m
	return old, true
}

// move takes a member from its room, if it is in one, to the room of that name. A line that is
// being said in the old room may still come to it. from is nil if there was no old room.
func (h *hall) move(m *member, name string) (from, to *room, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.gone {
		return nil, nil, berth.ErrClosed
	}
	if m.room != nil && m.room.name == name {
		return m.room, m.room, nil
	}
	from = m.room
	if from != nil {
		from.Remove(m.socket)
		h.takeOut(m)
	}
	to = h.rooms[name]
	if to == nil {
		to = &room{name: name, members: map[*member]struct{}{}}
		to.Left = func(socket berth.Socket, _ *berth.Closing) { h.leave(socket.Value().(*member)) }
		h.rooms[name] = to
	}
	to.members[m] = struct{}{}
	m.room = to
	if err := to.Add(m.socket); err != nil { // it has begun to end
		h.takeOut(m)
		return from, nil, err
	}
	return from, to, nil
}

// leave forgets a member whose connection has begun to end, once, and tells its room.
func (h *hall) leave(m *member) {
	h.mu.Lock()
	gone, from := m.gone, m.room
	if !gone {
		m.gone = true
		delete(h.names, m.name)
		h.takeOut(m)
	}
	h.mu.Unlock()
	if !gone && from != nil {
		from.announce("* " + m.name + " has left")
	}
}

// takeOut removes a member from its room. h.mu must be held.
func (h *hall) takeOut(m *member) {
	if m.room == nil {
		return
	}
	delete(m.room.members, m)
	if len(m.room.members) == 0 {
		delete(h.rooms, m.room.name)
	}
	m.room = nil
}

// find returns the member of a name, nil if there is none.
func (h *hall) find(name string) *member {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.names[name]
}

// who returns the names in a member's room, in order, and the room's.
func (h *hall) who(m *member) (room string, names []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if m.room == nil {
		return "", nil
	}
	for member := range maps.Keys(m.room.members) {
		names = append(names, member.name)
	}
	slices.Sort(names)
	return m.room.name, names
}

// say gives every member of the room a line. It waits for none of them: the write queue of a member
// that does not read is full at some point, and then its policy decides.
func (r *room) say(line string) { _, _ = r.WriteOwned([]byte(line + "\n")) }

// talkative is how many members a room has at most of which each hears of the others' coming and
// going. With more, n members that enter would be n*n/2 lines.
const talkative = 100

// announce tells the room of a member, unless it is too large for that.
func (r *room) announce(line string) bool {
	small := r.Len() <= talkative
	if small {
		r.say(line)
	}
	return small
}
