package tcpactor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAMailboxBorrowsABacklogForTheSecondMessageAndGivesItBackWithTheLast(t *testing.T) {
	var m Mailbox
	m.pushMail(1)
	assert.Nil(t, m.backlog, "one message lies inside")
	m.pushMail(2)
	m.pushMail(3)
	assert.NotNil(t, m.backlog)
	for want := 1; want <= 3; want++ {
		assert.Equal(t, 4-want, m.mailCount())
		assert.Equal(t, want, m.popMail())
	}
	assertEmpty(t, &m)
}

func TestSystemMessagesWaitInTheBacklogWithoutMixingWithMail(t *testing.T) {
	var m Mailbox
	m.pushSystem("stop")
	m.pushMail("mail")
	m.pushMail("more mail")
	m.pushSystem("watch")
	assert.Equal(t, 2, m.mailCount())
	for _, want := range []any{"stop", "watch"} {
		got, ok := m.popSystem()
		require.True(t, ok)
		assert.Equal(t, want, got)
	}
	_, ok := m.popSystem()
	assert.False(t, ok)
	for _, want := range []any{"mail", "more mail"} {
		assert.Equal(t, want, m.popMail())
	}
	assertEmpty(t, &m)

	m.pushSystem("stop")
	_, ok = m.popSystem()
	assert.True(t, ok)
	assertEmpty(t, &m) // also where there was no mail
}

// assertEmpty: nothing waits, and nothing that waited is still reachable.
func assertEmpty(t *testing.T, m *Mailbox) {
	assert.Zero(t, m.mailCount())
	assert.Nil(t, m.oldest)
	assert.Nil(t, m.backlog)
}

func TestABacklogKeepsASmallRingForTheNextMailboxAndGivesUpALargeOne(t *testing.T) {
	for messages, kept := range map[int]int{0: 0, 1: fewestSlots, keepSlots: keepSlots, keepSlots + 1: 0} {
		for _, of := range []func(*backlog) *ring{
			func(b *backlog) *ring { return &b.mail },
			func(b *backlog) *ring { return &b.system },
		} {
			var b backlog
			r := of(&b)
			for i := range messages {
				r.push(i)
			}
			for range messages {
				r.pop()
			}
			b.free()
			assert.Len(t, r.slots, kept, "%d messages", messages)
		}
	}
}
