package connection

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

func TestAQueueIsAChainOfItsEntriesInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var q queue
		var model []*entry
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				e := new(entry)
				q.push(e)
				model = append(model, e)
			},
			"pop": func(t *rapid.T) {
				if q.empty() {
					t.Skip("nothing to pop")
				}
				e := q.pop()
				assert.Same(t, model[0], e)
				assert.Nil(t, e.next, "an entry that left holds on to no other")
				model = model[1:]
			},
			"": func(t *rapid.T) {
				assert.Equal(t, len(model) == 0, q.empty())
				i := 0
				for e := q.first; e != nil; e = e.next {
					assert.Same(t, model[i], e)
					i++
				}
				assert.Len(t, model, i)
				if q.empty() {
					assert.Nil(t, q.last, "an empty queue holds on to no entry")
				}
			},
		})
	})
}
