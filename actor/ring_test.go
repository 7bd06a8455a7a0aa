package tcpactor

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestARingIsASliceWithABeginningAndAnEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ring
		var model []any
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					r.push(next)
					model = append(model, next)
					next++
				}
			},
			"pop": func(t *rapid.T) {
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					got, ok := r.pop()
					require.Equal(t, len(model) > 0, ok)
					if !ok {
						require.Nil(t, got)
						return
					}
					require.Equal(t, model[0], got)
					model = model[1:]
				}
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model), r.count)
				held := 0
				for _, slot := range r.slots {
					if slot != nil {
						held++
					}
				}
				require.Equal(t, len(model), held, "a message that was popped must not stay reachable")
			},
		})
	})
}
