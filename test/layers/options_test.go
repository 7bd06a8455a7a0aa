package layers_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
)

// special are the defaults that are no value of the field, or that the code computes at its start.
var special = map[string]string{
	"Workers":                 "GOMAXPROCS",
	"EventLoops":              "1",
	"Acceptors":               "1",
	"Connection.LowWater":     "half of HighWater",
	"MaxConnections":          "min(16384, 80% of RLIMIT_NOFILE)",
	"Connection.ReadGate":     "GateQuiet",
	"Connection.ReadMode":     "Push",
	"Transport":               "Auto",
	"WhenFull":                "Wait",
	"MaxConnectionsPerIP":     "off",
	"PerIPPrefixV4":           "32",
	"PerIPPrefixV6":           "64",
	"AcceptRate":              "off",
	"ProxyProtocol":           "off",
	"AcceptBurst":             "one second's worth",
	"Network":                 "tcp",
	"ShutdownTimeout":         "15s",
	"KeepAlive":               "15s",
	"Connection.SlowConsumer": "SlowRefuse",
	"MemoryBudget":            "off",
	"MemoryHighWater":         "80% of MemoryBudget",
	"MemoryLowWater":          "75% of MemoryHighWater",
	"MemoryTimeout":           "30s",
}

// row is one line of the table.
type row struct{ option, value string }

func TestTheTableOfOptionsIsTheCodes(t *testing.T) {
	rows := table(t)
	listed := map[string]string{}
	for _, r := range rows {
		assert.NotContains(t, listed, r.option, "listed twice")
		listed[r.option] = r.value
	}
	want := map[string]string{}
	defaults(want, "", reflect.ValueOf(listener.Options{}))
	defaults(want, "Connection.", reflect.ValueOf(connection.Options{}.WithDefaults()))
	for option, value := range want {
		got, found := listed[option]
		if !assert.True(t, found, "%s is not listed", option) {
			continue
		}
		if text, is := special[option]; is {
			value = text
		}
		assert.True(t, agrees(got, value), "%s: the table says %q, the code %q", option, got, value)
	}
	for option := range listed {
		assert.Contains(t, want, option, "no such option")
	}
}

// These defaults are in special because they are computed: here from the code's own values.
func TestTheZeroEnumerationsAreTheOnesTheTableNames(t *testing.T) {
	assert.Zero(t, connection.GateQuiet)
	assert.Zero(t, connection.Push)
	assert.Zero(t, connection.SlowRefuse)
	assert.Zero(t, listener.Auto)
	assert.Zero(t, listener.Wait)
}

// agrees allows more text in a cell, after a comma or in brackets.
func agrees(cell, value string) bool {
	rest, found := strings.CutPrefix(cell, value)
	return found && (rest == "" || strings.HasPrefix(rest, ",") || strings.HasPrefix(rest, " ("))
}

// table reads the rows between the markers.
func table(t *testing.T) []row {
	text, err := os.ReadFile(filepath.Join(root, "docs", "options.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(text), "<!-- options -->")
	require.True(t, found, "the table has no beginning")
	inside, _, found := strings.Cut(rest, "<!-- /options -->")
	require.True(t, found, "the table has no end")
	var rows []row
	for line := range strings.Lines(inside) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if option := strings.TrimSpace(cells[0]); len(cells) >= 4 && strings.HasPrefix(option, "`") {
			rows = append(rows, row{strings.Trim(option, "`"), strings.Trim(strings.TrimSpace(cells[1]), "`")})
		}
	}
	require.NotEmpty(t, rows)
	return rows
}

// defaults notes every exported field of options, and its default as the table writes it.
func defaults(into map[string]string, prefix string, options reflect.Value) {
	for i := range options.NumField() {
		field := options.Type().Field(i)
		if prefix+field.Name != "Connection" {
			into[prefix+field.Name] = written(options.Field(i))
		}
	}
}

func written(value reflect.Value) string {
	switch v := value.Interface().(type) {
	case time.Duration:
		if v == 0 {
			return "off"
		}
		return v.String()
	case int:
		switch {
		case v == 0:
			return "none"
		case v >= 1<<20 && v%(1<<20) == 0:
			return fmt.Sprintf("%d MiB", v>>20)
		case v >= 1<<10 && v%(1<<10) == 0:
			return fmt.Sprintf("%d KiB", v>>10)
		}
		return fmt.Sprint(v)
	case bool:
		return fmt.Sprint(v)
	}
	return "none"
}
