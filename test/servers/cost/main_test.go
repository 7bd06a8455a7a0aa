package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/servers"
)

// TestMain is the program in the processes that a comparison starts.
func TestMain(m *testing.M) {
	if os.Getenv(serves) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestAComparisonHasARowForEachServerAskedFor(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the program does not know how to ask Windows for processor time")
	}
	for _, together := range []bool{false, true} {
		t.Run(fmt.Sprint("together ", together), func(t *testing.T) {
			var out strings.Builder
			o := options{rounds: 3, round: 20 * time.Millisecond, clients: 2, size: 10, only: "redcon", together: together}
			require.NoError(t, o.run(&out))
			var rows [][]string
			for line := range strings.Lines(out.String()) {
				if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| redcon") {
					rows = append(rows, cells)
				}
			}
			require.Len(t, rows, 1, out.String())
			require.Len(t, rows[0], 6)
			for _, cell := range rows[0][2:] {
				var ratio float64
				_, err := fmt.Sscan(strings.Trim(cell, " |\n"), &ratio)
				require.NoError(t, err)
				assert.Positive(t, ratio)
			}
		})
	}
}

func TestAServerThatDoesNotExistIsAnError(t *testing.T) {
	require.ErrorContains(t, serve("net", "nothing"), `there is no server "nothing"`)
	require.Error(t, (options{rounds: 1, clients: 1}).measured(t, "net", "nothing"))
}

// measured starts a server that is not one of All.
func (o options) measured(t *testing.T, kind, name string) error {
	t.Helper()
	r, err := o.start(kind, servers.Case{Name: name})
	if err == nil {
		_ = r.end()
	}
	return err
}

func TestAMedianIsOfTheRatiosOfNeighbours(t *testing.T) {
	some := []cost{{wall: 2}, {wall: 8}, {wall: 30}, {wall: 1000}}
	others := []cost{{wall: 1}, {wall: 2}, {wall: 10}, {wall: 10}}
	ratio := func(a, b cost) float64 { return a.wall / b.wall }
	assert.InDelta(t, 3.5, median(some, others, ratio), 0)
	assert.InDelta(t, 3.0, median(some[:3], others, ratio), 0)
}
