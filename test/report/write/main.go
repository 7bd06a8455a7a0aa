// Write turns the rows that tests added to the file of BERTH_REPORT into test/REPORT.md.
//
//	go run ./test/report/write test/rows.jsonl >test/REPORT.md
//
// Of each test the rows of its last run count. With -prune the others leave the file. make report
// runs the long form of every test that adds rows, or of some, and then this.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// row is a row that a test wrote, see package report.
type row struct {
	ID, Holds, Seeds, Skipped, Test, Commit, Run string
	Figures                                      map[string]any
	Seconds                                      float64
	Failed                                       bool

	text string // as it was read
}

// matrix describes each row, in the order of the report.
var matrix = []struct{ id, load string }{
	{"D1", "seeded random operations of user, peer, clock and faults in virtual time; a pure checker judges the history"},
	{"D2", "every sequence of six over Write, Close, peer's FIN, peer's RST, Pause, panic, Stop"},
	{"D3", "a shutdown at every step of a fixed scenario"},
	{"D4", "every timeout: a moment before, at it, put off by traffic, not put off by messages"},
	{"D5", "any faults for a while, then none: a fresh client is served within the largest back-off"},
	{"F1", "credit and queue against a small model, concurrently"},
	{"F2", "the buffer under any split of the stream"},
	{"S1", "writers against Close, Abort, the peer's RST and FIN at random moments"},
	{"S3", "a shutdown in a storm of dials"},
	{"S4", "two causes of end at once, every pair"},
	{"S5", "a panic in every callback, under every directive"},
	{"S6", "handlers that keep or change what they were given"},
	{"S7", "a handler that never returns, and a shutdown"},
	{"S8", "many connections come and go"},
	{"S9", "a million Write messages to a stalled peer's PID"},
	{"S10", "the process is stopped for longer than its idle timeout, and half of the clients with it"},
	{"S11", "restarts of the program, one after another, under load"},
	{"A1", "clients that say nothing"},
	{"A2", "clients that never finish a line"},
	{"A3", "clients that never read"},
	{"A4", "more clients than descriptors"},
	{"A5", "a flood of resets"},
	{"A6", "many dials at once at a full server"},
	{"A7", "a peer that vanishes, a partition that heals"},
	{"A8", "TLS: a stall at each flight, garbage, plain text"},
	{"A10", "one connection at full speed beside many"},
	{"A11", "clients that never close their side, more than there are places"},
	{"L1", "many dials to a server that refuses, resets, stalls and answers at random"},
	{"L2", "a client that connects again writes on while its server is restarted"},
	{"L3", "requests in a pipeline while their server is restarted"},
	{"R1", "half-closes, both ways"},
	{"R2", "a close with a full queue, before a peer that reads and one that does not"},
	{"R3", "a close with unread input"},
	{"W1", "writes until the queue is full, a pause, then a wait for Writable"},
	{"W2", "bursts of writes to a client that reads at once"},
	{"W3", "io.Copy of a long stream into a connection"},
	{"W4", "two connections joined by Writable alone, both ways"},
	{"W5", "writers that wait for room, beside the end of their connection"},
	{"C1", "a random actor is killed every 10 ms under checked clients"},
	{"C2", "everything at a low rate for a long time"},
	{"P1", "a gigabyte each way at once through a proxy with a slow end"},
	{"K1", "chat over three gateways and three nodes of a store, killed with -9 in turn"},
	{"K2", "what a line and a session cost the cluster"},
	{"K3", "clients of one node read nothing, then slowly; their owner on another writes all it may"},
	{"K4", "clients of one node send at full speed; their owner on another is slow"},
	{"K5", "messages by PID and echoes: the owner on the gateway's node, and on another"},
	{"N1", "each seed run twice, also in another process: the same history"},
	{"N2", "every order of two moves on two connections, without those that differ in independent steps only"},
	{"N3", "schedules until a defect is found: in random order, by priorities, exhaustively"},
	{"N5", "the event loop's hand-over: every order of two moves from ten beginnings, moves at random, and schedules until a defect is found"},
	{"M", "defects put into the code on purpose"},
}

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("write", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	prune := flags.Bool("prune", false, "keep only the rows of each test's last run in the file")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("give the one file of rows that BERTH_REPORT named")
	}
	name := flags.Arg(0)
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	defer file.Close()
	rows, err := read(file)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	rows = latest(rows)
	if *prune {
		if err := save(name, rows); err != nil {
			return err
		}
	}
	return write(out, rows, describe())
}

// latest returns the rows of the last run of each test.
func latest(rows []row) (kept []row) {
	type test struct{ id, name string }
	last := map[test]string{}
	for _, r := range rows {
		last[test{r.ID, r.Test}] = r.Run
	}
	for _, r := range rows {
		if r.Run == last[test{r.ID, r.Test}] {
			kept = append(kept, r)
		}
	}
	return kept
}

// save replaces the file.
func save(name string, rows []row) error {
	var text strings.Builder
	for _, r := range rows {
		fmt.Fprintln(&text, r.text)
	}
	if err := os.WriteFile(name+".new", []byte(text.String()), 0o600); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

func read(in io.Reader) (rows []row, err error) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(rows)+1, err)
		}
		r.text = lines.Text()
		rows = append(rows, r)
	}
	return rows, lines.Err()
}

// describe returns the time of the report, the Go version and the machine.
func describe() string {
	said := func(name string, args ...string) string {
		text, err := exec.Command(name, args...).Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(text))
	}
	return fmt.Sprintf("%s; %s, %s %s, %d processors, %s.",
		time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.Version(), runtime.GOOS, said("uname", "-r"), runtime.NumCPU(), runtime.GOARCH)
}

func write(out io.Writer, rows []row, where string) error {
	text := &strings.Builder{}
	fmt.Fprintf(text, "# Report\n\nWritten by `make report` from test/rows.jsonl; do not edit it. Each row is of its test's last run. %s\n\n", where)
	failed, seconds := 0, 0.0
	byID := map[string][]row{}
	for _, r := range rows {
		byID[r.ID] = append(byID[r.ID], r)
		seconds += r.Seconds
		if r.Failed {
			failed++
		}
	}
	fmt.Fprintf(text, "%d rows, %d failed, %.0f minutes of tests.\n\n", len(rows), failed, seconds/60)
	fmt.Fprint(text, "| | Load or fault | Holds | Figures | Seeds | Time | Test | Commit, day |\n|---|---|---|---|---|--:|---|---|\n")
	for _, m := range matrix {
		for _, r := range byID[m.id] {
			fmt.Fprintln(text, line(r, m.load))
		}
		delete(byID, m.id)
	}
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		if id == others {
			continue
		}
		for _, r := range byID[id] {
			fmt.Fprintln(text, line(r, ""))
		}
	}
	for _, r := range byID[others] {
		compare(text, r)
	}
	_, err := io.WriteString(out, text.String())
	return err
}

// others is the row of attacks on other servers. Its figures are a table of their own: the result
// of each attack, by server.
const others = "others"

func compare(text *strings.Builder, r row) {
	fmt.Fprintf(text, "\n## The same attacks on other servers\n\nOne after another on the same machine; versions in test/attack/others/go.mod, settings in its doc.go. %.0f s, commit %s.\n\n",
		r.Seconds, place(r))
	var servers []string
	for _, attack := range slices.Sorted(maps.Keys(r.Figures)) {
		outcomes, _ := r.Figures[attack].(map[string]any)
		if servers == nil {
			servers = slices.Sorted(maps.Keys(outcomes))
			fmt.Fprintf(text, "| | %s |\n|---|%s\n", strings.Join(servers, " | "), strings.Repeat("---|", len(servers)))
		}
		fmt.Fprintf(text, "| %s |", attack)
		for _, server := range servers {
			fmt.Fprintf(text, " %v |", outcomes[server])
		}
		fmt.Fprintln(text)
	}
}

func line(r row, load string) string {
	figures := words(r.Figures)
	if r.Failed {
		figures = "**failed** " + figures
	}
	if r.Skipped != "" {
		figures += " (skipped: " + r.Skipped + ")"
	}
	cells := []string{r.ID, load, r.Holds, figures, r.Seeds, fmt.Sprintf("%.1f s", r.Seconds), "`" + r.Test + "`", place(r)}
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(cell, "|", "\\|")
	}
	return "| " + strings.Join(cells, " | ") + " |"
}

// place tells what was tested, and when.
func place(r row) string {
	day, _, _ := strings.Cut(r.Run, "T")
	return strings.Trim(r.Commit+", "+day, ", ")
}

// words gives figures as "name: value", by name.
func words(figures map[string]any) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(figures)) {
		value := fmt.Sprint(figures[name])
		switch v := figures[name].(type) {
		case map[string]any:
			value = "(" + words(v) + ")"
		case float64:
			value = number(v)
		}
		all = append(all, name+": "+value)
	}
	return strings.Join(all, ", ")
}

// number gives 1234567 as 1,234,567, and other numbers with two decimal places.
func number(v float64) string {
	if v != float64(int64(v)) {
		return fmt.Sprintf("%.2f", v)
	}
	digits := fmt.Sprint(int64(v))
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
