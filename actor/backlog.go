package tcpactor

import "sync"

// kind of a message. System messages overtake mail.
type kind uint8

const (
	none kind = iota
	system
	user
	kinds
)

// backlog is what waits in a mailbox behind the message that it holds itself. Most mailboxes have none most of the time, so it is lent to
// them: a ring of its own for the burst that may come would cost every idle actor more than all the rest of its mailbox.
type backlog [kinds]ring

var backlogs = sync.Pool{New: func() any { return new(backlog) }}

// keepSlots is the largest ring kept for the next mailbox, in messages of 16 bytes. What a burst made of it is given back.
const keepSlots = 64

func (b *backlog) empty() bool { return b[system].count+b[user].count == 0 }

// free gives back an empty backlog.
func (b *backlog) free() {
	for i := range b {
		if len(b[i].slots) > keepSlots {
			b[i] = ring{}
		}
	}
	backlogs.Put(b)
}

// The mailbox's side of it, under the mailbox's lock.

func (m *Mailbox) push(k kind, message any) {
	if m.held == none && m.backlog == nil {
		m.held, m.message = k, message
		return
	}
	if m.backlog == nil {
		m.backlog = backlogs.Get().(*backlog)
	}
	m.backlog[k].push(message)
}

// popNext returns what the actor is to handle next, none if there is nothing.
func (m *Mailbox) popNext() (any, kind) {
	if message, ok := m.pop(system); ok {
		return message, system
	}
	if !m.suspended {
		if message, ok := m.pop(user); ok {
			return message, user
		}
	}
	return nil, none
}

func (m *Mailbox) pop(k kind) (message any, ok bool) {
	switch {
	case m.held == k:
		message, m.held, m.message = m.message, none, nil
		return message, true
	case m.backlog == nil:
		return nil, false
	}
	message, ok = m.backlog[k].pop()
	if m.backlog.empty() {
		m.backlog.free()
		m.backlog = nil
	}
	return message, ok
}

func (m *Mailbox) waiting(k kind) int {
	n := 0
	if m.held == k {
		n = 1
	}
	if m.backlog != nil {
		n += m.backlog[k].count
	}
	return n
}
