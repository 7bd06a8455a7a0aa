package main

import (
	"flag"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/cluster/nodes"
	"github.com/go-berth/berth/test/report"
)

func TestMain(m *testing.M) {
	if nodes.Role() != "" {
		os.Exit(beNode())
	}
	os.Exit(m.Run())
}

var preset = flag.String("cost.preset", "", "short or full; by default a run of a moment")

// A run of a moment: every load has a line, and one on another node costs that node something.
func TestEveryLoadIsMeasured(t *testing.T) {
	o := options{connections: 10, owners: 2, window: 4, size: 64, rounds: 1, lasts: 200 * time.Millisecond}
	if *preset != "" {
		o = presets[*preset]
		require.NotEmpty(t, o, "no such preset")
	}
	out, began := &strings.Builder{}, time.Now()
	results, err := run(o)
	require.NoError(t, err)
	require.NoError(t, write(out, o, results))
	t.Log("\n" + out.String())
	for _, r := range rows {
		_, line, found := strings.Cut(out.String(), "| "+r.name+" |")
		require.True(t, found, r.name)
		line, _, _ = strings.Cut(line, "\n")
		cells := strings.Split(line, "|")
		require.Len(t, cells, 11, line)
		for i, cell := range cells {
			cells[i] = strings.TrimSpace(cell)
		}
		assert.NotEqual(t, "0", cells[0], r.name)
		assert.NotEqual(t, "0.0", cells[2], r.name)
		far, err := strconv.ParseFloat(cells[6], 64)
		require.NoError(t, err)
		assert.Equal(t, r.server == otherNode, far > 1, "%s: the other node has used %f us", r.name, far)
		if r.base {
			assert.Equal(t, []string{"1.00", "1.00"}, []string{cells[1], cells[3]}, r.name)
		}
	}
	if *preset == "" {
		return // it is too short for figures
	}
	figures := map[string]any{"connections": o.connections, "bytes of a message": o.size}
	for i, r := range rows {
		figures[r.name] = map[string]any{
			"messages a second": int(median(results[i], result.perSecond)), "us of all nodes for a message": median(results[i], result.total),
		}
	}
	report.Add(t, report.Row{ID: "K5", Duration: time.Since(began), Figures: figures})
}

// What comes back is compared with what was sent.
func TestAnEchoOfOtherBytesIsAnError(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	go func() {
		buf := make([]byte, 8)
		if n, err := server.Read(buf); err == nil {
			buf[3]++
			_, _ = server.Write(buf[:n])
		}
	}()
	_, err := echoes(client, 1, 8, time.Now().Add(patience))
	assert.EqualError(t, err, "the echo is another message")
}
