package window_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/internal/window"
)

// The model is the list of all times.
func TestAWindowIsItsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var w window.Window
		var all []time.Duration
		now, length := time.Duration(0), time.Duration(rapid.IntRange(-1, 5).Draw(t, "length"))
		t.Repeat(map[string]func(*rapid.T){
			"add":  func(*rapid.T) { w.Add(now); all = append(all, now) },
			"wait": func(t *rapid.T) { now += time.Duration(rapid.IntRange(0, 6).Draw(t, "wait")) },
			"": func(t *rapid.T) {
				want := 0
				for _, at := range all {
					if length <= 0 || now-at < length {
						want++
					}
				}
				require.Equal(t, want, w.Len(now, length))
			},
		})
	})
}
