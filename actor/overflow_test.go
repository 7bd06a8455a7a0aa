package tcpactor

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestAMailboxBorrowsAnOverflowForTheSecondMessageAndGivesItBackWithTheLast(t *testing.T) {
	var m Mailbox
	m.push(user, 1)
	assert.Nil(t, m.overflow, "one message lies inside")
	m.push(user, 2)
	m.push(user, 3)
	assert.NotNil(t, m.overflow)
	for want := 1; want <= 3; want++ {
		assert.Equal(t, 4-want, m.waiting(user))
		got, ok := m.pop(user)
		require.True(t, ok)
		assert.Equal(t, want, got)
	}
	assertEmpty(t, &m)
}

func TestOneMessageOfEitherKindNeedsNoOverflow(t *testing.T) {
	for _, k := range []kind{system, user} {
		var m Mailbox
		m.push(k, 1)
		assert.Nil(t, m.overflow)
		_, ok := m.pop(system + user - k)
		assert.False(t, ok, "it is of the other kind")
		got, ok := m.pop(k)
		assert.True(t, ok)
		assert.Equal(t, 1, got)
		assertEmpty(t, &m)
	}
}

func TestAMailboxIsAQueueForEachKind(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Mailbox
		model := map[kind][]int{}
		next := 0
		kinds := rapid.SampledFrom([]kind{system, user})
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				k := kinds.Draw(t, "kind")
				m.push(k, next)
				model[k] = append(model[k], next)
				next++
			},
			"pop": func(t *rapid.T) {
				k := kinds.Draw(t, "kind")
				got, ok := m.pop(k)
				require.Equal(t, len(model[k]) > 0, ok)
				if ok {
					require.Equal(t, model[k][0], got)
					model[k] = model[k][1:]
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model[system]), m.waiting(system))
				require.Equal(t, len(model[user]), m.waiting(user))
				if len(model[system])+len(model[user]) == 0 {
					assertEmpty(t, &m)
				}
			},
		})
	})
}

// assertEmpty requires that no message that waited is still reachable.
func assertEmpty(t require.TestingT, m *Mailbox) {
	assert.Equal(t, none, m.held)
	assert.Nil(t, m.message)
	assert.Nil(t, m.overflow)
}

func TestAnOverflowKeepsASmallRingForTheNextMailboxAndGivesUpALargeOne(t *testing.T) {
	for messages, kept := range map[int]int{0: 0, 1: fewestSlots, keepSlots: keepSlots, keepSlots + 1: 0} {
		for _, of := range []func(*overflow) *ring{
			func(b *overflow) *ring { return &b[user] },
			func(b *overflow) *ring { return &b[system] },
		} {
			var b overflow
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
