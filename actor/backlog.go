package tcpactor

import "sync"

// backlog is what waits in a mailbox behind its oldest mail. Most mailboxes have none most of the time, so it is lent to them: a
// mailbox of its own ring, for the burst that may come, would cost every idle actor more than all the rest of it.
type backlog struct {
	mail   ring
	system ring
}

var backlogs = sync.Pool{New: func() any { return new(backlog) }}

// keepSlots is the largest ring kept for the next mailbox, in messages of 16 bytes. What a burst made of it is given back.
const keepSlots = 64

func (b *backlog) empty() bool { return b.mail.count+b.system.count == 0 }

// free gives back an empty backlog.
func (b *backlog) free() {
	if len(b.mail.slots) > keepSlots {
		b.mail = ring{}
	}
	if len(b.system.slots) > keepSlots {
		b.system = ring{}
	}
	backlogs.Put(b)
}

// The mailbox's side of it, under the mailbox's lock.

func (m *Mailbox) pushMail(message any) {
	if m.waiting {
		m.borrow().mail.push(message)
	} else {
		m.oldest, m.waiting = message, true
	}
}

// popMail returns the oldest mail; there must be some.
func (m *Mailbox) popMail() any {
	message := m.oldest
	m.oldest, m.waiting = nil, false
	if m.backlog != nil {
		m.advance()
	}
	return message
}

// advance makes the next mail, if there is any, the oldest.
func (m *Mailbox) advance() {
	m.oldest, m.waiting = m.backlog.mail.pop()
	m.giveBack()
}

func (m *Mailbox) pushSystem(message any) { m.borrow().system.push(message) }

// popSystem returns the oldest system message, if there is any; there must be a backlog.
func (m *Mailbox) popSystem() (message any, ok bool) {
	message, ok = m.backlog.system.pop()
	m.giveBack()
	return message, ok
}

func (m *Mailbox) mailCount() int {
	switch {
	case !m.waiting:
		return 0
	case m.backlog == nil:
		return 1
	}
	return 1 + m.backlog.mail.count
}

func (m *Mailbox) borrow() *backlog {
	if m.backlog == nil {
		m.backlog = backlogs.Get().(*backlog)
	}
	return m.backlog
}

func (m *Mailbox) giveBack() {
	if m.backlog.empty() {
		m.backlog.free()
		m.backlog = nil
	}
}
