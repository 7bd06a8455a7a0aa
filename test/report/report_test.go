package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rows returns the lines of the report.
func rows(t *testing.T, file string) (all []map[string]any) {
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		var row map[string]any
		require.NoError(t, json.Unmarshal([]byte(line), &row))
		all = append(all, row)
	}
	return all
}

func TestRowsAreAppendedAsLinesOfJSON(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report")
	t.Setenv(File, file)
	Add(t, Row{ID: "D1", Holds: "G1, G2", Figures: map[string]any{"operations": 12}, Seeds: "1-3", Duration: 1500 * time.Millisecond})
	Add(t, Row{ID: "D2", Skipped: "no such thing here"})
	all := rows(t, file)
	require.Len(t, all, 2)
	assert.Equal(t, map[string]any{
		"id": "D1", "holds": "G1, G2", "figures": map[string]any{"operations": 12.0}, "seeds": "1-3", "seconds": 1.5,
		"test": "TestRowsAreAppendedAsLinesOfJSON", "run": run, "failed": false,
	}, all[0])
	assert.Equal(t, "no such thing here", all[1]["skipped"])
}

func TestRowsOfManyTestsAtOnceStayWhole(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report")
	t.Setenv(File, file)
	const tests, each = 8, 50
	done := make(chan struct{})
	for range tests {
		go func() {
			defer func() { done <- struct{}{} }()
			for range each {
				Add(t, Row{ID: "S1", Holds: strings.Repeat("x", 500)})
			}
		}()
	}
	for range tests {
		<-done
	}
	assert.Len(t, rows(t, file), tests*each)
}

// recorder is a test that fails without failing this one.
type recorder struct {
	testing.TB
	failed bool
	logged string
}

func (r *recorder) Helper()                      {}
func (r *recorder) Name() string                 { return "recorder" }
func (r *recorder) Failed() bool                 { return r.failed }
func (r *recorder) Errorf(string, ...any)        { r.failed = true }
func (r *recorder) Logf(_ string, values ...any) { r.logged = string(values[0].([]byte)) }

func TestAFailedTestSaysSoInItsRow(t *testing.T) {
	t.Setenv(File, "")
	r := &recorder{failed: true}
	Add(r, Row{ID: "D3"})
	assert.Contains(t, r.logged, `"failed":true`)
}

func TestARowThatCannotBeWrittenFailsItsTest(t *testing.T) {
	t.Setenv(File, filepath.Join(t.TempDir(), "no", "such", "folder"))
	r := &recorder{}
	Add(r, Row{ID: "D3"})
	assert.True(t, r.failed)

	t.Setenv(File, "")
	r = &recorder{}
	Add(r, Row{ID: "D3", Figures: map[string]any{"no number": func() {}}})
	assert.True(t, r.failed)
}
