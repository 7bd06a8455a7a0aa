// Package report collects the figures of long tests. A test adds a row. If the environment variable
// BERTH_REPORT names a file, the row is appended to it as a line of JSON, from which test/REPORT.md
// is written. The row is logged in any case.
//
// The file is test/rows.jsonl. All of it takes hours, so it is written in parts: the rows of the
// last run of each test count.
package report

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

// The environment variables: the name of the file that rows are appended to, and the commit that is
// tested.
const (
	File   = "BERTH_REPORT"
	Commit = "BERTH_COMMIT"
)

// Row is the result of one test: a line of the report.
type Row struct {
	// ID is the line of the matrix, "D1".
	ID string `json:"id"`
	// Holds names the guarantees that the test holds, "G1-G6, G8".
	Holds string `json:"holds,omitempty"`
	// Figures are the numbers, by name: of actions and of results.
	Figures map[string]any `json:"figures,omitempty"`
	// Seeds says which random histories were run, "1-5000".
	Seeds string `json:"seeds,omitempty"`
	// Duration is how long it took.
	Duration time.Duration `json:"-"`
	// Skipped is why nothing, or not all, was run. It is empty if all was run.
	Skipped string `json:"skipped,omitempty"`
}

// line is a row as it is written, with facts that the test itself knows.
type line struct {
	Row
	Seconds float64 `json:"seconds"`
	Test    string  `json:"test"`
	Commit  string  `json:"commit,omitempty"`
	Run     string  `json:"run"`    // when the process began, the same for all of its rows
	Failed  bool    `json:"failed"` // whether the test had failed when it added the row
}

var run = time.Now().UTC().Format(time.RFC3339)

// Add logs a row and appends it to the report, if there is one. It is the test's last act: a
// failure after it is not in the row. Any goroutine of any number of processes may call it, as each
// row is one write at the end of the file.
func Add(t testing.TB, row Row) {
	t.Helper()
	text, err := json.Marshal(line{row, row.Duration.Seconds(), t.Name(), os.Getenv(Commit), run, t.Failed()})
	if err != nil {
		t.Errorf("row %s: %v", row.ID, err)
		return
	}
	t.Logf("REPORT %s", text)
	name := os.Getenv(File)
	if name == "" {
		return
	}
	file, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		t.Errorf("row %s: %v", row.ID, err)
		return
	}
	defer file.Close()
	if _, err := file.Write(append(text, '\n')); err != nil {
		t.Errorf("row %s: %v", row.ID, err)
	}
}
