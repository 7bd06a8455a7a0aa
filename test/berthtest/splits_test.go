package berthtest_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/test/berthtest"
)

func TestAShortInputIsSplitInEveryWay(t *testing.T) {
	for n, want := range map[int]int{0: 1, 1: 1, 2: 2, 5: 16, 12: 2048} {
		input := strings.Repeat("abcdefghijkl", 1)[:n]
		seen := map[string]bool{}
		berthtest.Splits(t, input, func(chunks []string) {
			assert.Equal(t, input, strings.Join(chunks, ""))
			assert.NotContains(t, chunks, "")
			seen[fmt.Sprintf("%q", chunks)] = true
		})
		assert.Len(t, seen, want, "%d bytes", n)
	}
}

func TestALongInputIsSplitInManyWays(t *testing.T) {
	for _, n := range []int{13, 60, 300, 5000} {
		input := make([]byte, n)
		for i := range input {
			input[i] = byte(i)
		}
		calls, kinds, smallest := 0, map[int]bool{}, n
		berthtest.Splits(t, input, func(chunks [][]byte) {
			calls++
			kinds[len(chunks)] = true
			joined := []byte{}
			for _, chunk := range chunks {
				smallest = min(smallest, len(chunk))
				joined = append(joined, chunk...)
			}
			if !bytes.Equal(joined, input) {
				t.Errorf("%d bytes: %q", n, chunks)
			}
		})
		for _, chunks := range []int{1, 2, 3, n} {
			assert.True(t, kinds[chunks], "%d bytes in %d chunks", n, chunks)
		}
		assert.Equal(t, 1, smallest)
		assert.Less(t, calls, 3*2048)
		t.Logf("%d bytes: %d splits", n, calls)
	}
}

func TestTheSplitThatFailsIsLogged(t *testing.T) {
	const logged = `berthtest: the input was split into ["h" "ello, world!!"]`
	for name, fail := range map[string]func(t testing.TB){
		"an error":    func(t testing.TB) { t.Errorf("failed") },
		"a fatal one": func(t testing.TB) { t.Fatalf("failed") },
	} {
		t.Run(name, func(t *testing.T) {
			f := new(fake)
			f.run(func(t testing.TB) {
				berthtest.Splits(t, "hello, world!!", func(chunks []string) {
					if len(chunks) == 2 && chunks[0] == "h" {
						fail(t)
					}
				})
			})
			assert.Equal(t, []string{"failed"}, f.failures, "it stops at the first")
			assert.Equal(t, []string{logged}, f.logs)
		})
	}
	t.Run("a panic", func(t *testing.T) {
		f := new(fake)
		assert.PanicsWithValue(t, "failed", func() {
			berthtest.Splits(f, "hello, world!!", func(chunks []string) {
				if len(chunks) == 2 {
					panic("failed")
				}
			})
		})
		assert.Len(t, f.logs, 1)
	})
}
