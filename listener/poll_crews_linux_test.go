package listener

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The kernel says which descriptors are in which poll set: four connections in each of the three,
// the set's own waker besides, and the listening socket in the first.
func TestSeveralEventLoopsShareTheConnectionsEvenly(t *testing.T) {
	before := watched(t)
	l := newWorld().listen(t, of(newEcho()), Options{Transport: Poll, EventLoops: 3, Workers: 3})
	for range 12 {
		echoes(t, dial(t, l))
	}
	var sizes []int
	for set, size := range watched(t) {
		if _, old := before[set]; !old {
			sizes = append(sizes, size)
		}
	}
	assert.ElementsMatch(t, []int{1 + 1 + 4, 1 + 4, 1 + 4}, sizes)
}

// watched returns how many descriptors are in each epoll set of this process, by the set's own.
func watched(t *testing.T) map[string]int {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fdinfo/*")
	require.NoError(t, err)
	sets := map[string]int{}
	for _, file := range files {
		if info, err := os.ReadFile(file); err == nil && strings.Contains(string(info), "tfd:") {
			sets[filepath.Base(file)] = strings.Count(string(info), "tfd:")
		}
	}
	return sets
}

func TestANegativeNumberOfEventLoopsIsRefused(t *testing.T) {
	_, err := Listen(newWorld().Root, anyPort, of(newEcho()), Options{EventLoops: -1})
	assert.EqualError(t, err, "berth: EventLoops -1 must not be negative")
}
