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

// overflow holds the messages that wait in a mailbox behind the one that the mailbox itself holds.
// Most mailboxes have none most of the time, so it is pooled: a ring of its own for a burst would
// cost every idle actor more than the rest of its mailbox.
type overflow [kinds]ring

var overflows = sync.Pool{New: func() any { return new(overflow) }}

// keepSlots is the largest ring kept for the next mailbox, in messages of 16 bytes. A ring that a
// burst made larger is given back.
const keepSlots = 64

func (b *overflow) empty() bool { return b[system].count+b[user].count == 0 }

// free gives back an empty overflow.
func (b *overflow) free() {
	for i := range b {
		if len(b[i].slots) > keepSlots {
			b[i] = ring{}
		}
	}
	overflows.Put(b)
}

// The mailbox's side of it, under the mailbox's lock.

func (m *Mailbox) push(k kind, message any) {
	if m.held == none && m.overflow == nil {
		m.held, m.message = k, message
		return
	}
	if m.overflow == nil {
		m.overflow = overflows.Get().(*overflow)
	}
	m.overflow[k].push(message)
}

// popNext returns the next message that the actor is to handle, none if there is none.
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
	case m.overflow == nil:
		return nil, false
	}
	message, ok = m.overflow[k].pop()
	if m.overflow.empty() {
		m.overflow.free()
		m.overflow = nil
	}
	return message, ok
}

func (m *Mailbox) waiting(k kind) int {
	n := 0
	if m.held == k {
		n = 1
	}
	if m.overflow != nil {
		n += m.overflow[k].count
	}
	return n
}
