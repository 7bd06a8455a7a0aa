package others

import (
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/attack"
	"github.com/go-berth/berth/test/report"
)

var scale = flag.Float64("attack.scale", 0, "what part of the attackers come, at most 1; 0: none")

// These variables tell this program that it is a server, which one, at which address, and how many
// files it may open.
const nameVariable, addrVariable, filesVariable = "BERTH_OTHER", "BERTH_OTHER_ADDR", "BERTH_OTHER_FILES"

func TestMain(m *testing.M) {
	name := os.Getenv(nameVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	if files, _ := strconv.ParseUint(os.Getenv(filesVariable), 10, 64); files > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: files, Max: files}); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	fmt.Fprintln(os.Stderr, name, "ended:", servers[name](os.Getenv(addrVariable)))
	os.Exit(1)
}

// start runs a server in a process of its own, which ends with the test.
func start(t *testing.T, name string, files int) attack.Target {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := free.Addr().String()
	require.NoError(t, free.Close())
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), nameVariable+"="+name, addrVariable+"="+addr, fmt.Sprint(filesVariable, "=", files))
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	target := attack.Target{Addr: addr, PID: command.Process.Pid}
	if name == "redcon" {
		target.Ask = func(line string) string { return fmt.Sprintf("*2\r\n$4\r\nECHO\r\n$%d\r\n%s\r\n", len(line), line) }
		target.Answer = func(line string) string { return fmt.Sprintf("$%d\r\n%s\r\n", len(line), line) }
	}
	require.Eventually(t, func() bool { _, err := target.Serves(attack.Patience); return err == nil }, attack.Patience, 10*time.Millisecond, "%s does not serve", name)
	return target
}

func TestEveryServerAnswersALineWithTheSameLine(t *testing.T) {
	for name := range servers {
		t.Run(name, func(t *testing.T) { start(t, name, 0) })
	}
}

func of(n int) int { return max(1, int(float64(n)**scale)) }

// look is how long to watch whether a server disconnects attackers.
const look = 20 * time.Second

// attacks are run against every server. Each returns its result in words.
var attacks = []struct {
	id, what string
	files    int // RLIMIT_NOFILE; 0: as it is
	run      func(attack.Target) string
}{
	{"A1", "5,000 clients that say nothing", 0, func(t attack.Target) string {
		r, err := attack.Silent(t, of(5000), look)
		return outcome(r, err, "sends them away")
	}},
	{"A2", "2,000 clients that never finish a line", 0, func(t attack.Target) string {
		r, err := attack.Slow(t, of(2000))
		return outcome(r, err, "")
	}},
	{"A3", "1,000 clients that never read", 0, func(t attack.Target) string {
		r, err := attack.Deaf(t, of(1000), look)
		return outcome(r, err, "sends them away")
	}},
	{"A4", "120 clients, 64 descriptors", 64, func(t attack.Target) string {
		e, err := attack.Descriptors(t, 120)
		if err != nil {
			return err.Error()
		}
		after := "serves no new client for 10 s afterwards"
		if e.Recovered > 0 {
			after = fmt.Sprintf("serves a new one %d ms after they have gone", e.Recovered.Milliseconds())
		}
		return fmt.Sprintf("%d served, of those %d lost; %.0f%% of a core while full; %s", e.Served, e.Lost, 100*e.Processor, after)
	}},
	{"A5", "resets for 10 s", 0, func(t attack.Target) string {
		r, left, err := attack.Resets(t, time.Duration(of(10))*time.Second)
		return outcome(r, err, "") + fmt.Sprintf("; %d resets, %d descriptors left", r.Attackers, max(left, 0))
	}},
	{"A10", "one at full speed beside 200", 0, func(t attack.Target) string {
		r, err := attack.Neighbour(t, of(200))
		return outcome(r, err, "")
	}},
}

func outcome(r attack.Result, err error, sends string) string {
	if err != nil {
		return "fails: " + err.Error()
	}
	text := fmt.Sprintf("p99 %.1f ms, before %.1f", ms(r.While.P99), ms(r.Before.P99))
	if r.EachKB > 0 {
		text += fmt.Sprintf("; %.0f KB each", r.EachKB)
	}
	if r.New == 0 {
		text += "; a new client is not served"
	}
	switch {
	case sends != "" && r.Gone > 0:
		text += fmt.Sprintf("; %s within %.0f s", sends, r.Gone.Seconds())
	case sends != "":
		text += "; keeps them"
	}
	return text
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

func TestWhichServersSurviveWhat(t *testing.T) {
	if *scale == 0 {
		t.Skip("some minutes: make attack")
	}
	began := time.Now()
	figures := map[string]any{}
	for _, a := range attacks {
		outcomes := map[string]any{}
		for name := range servers {
			t.Run(a.id+"/"+name, func(t *testing.T) {
				outcomes[name] = a.run(start(t, name, a.files))
				t.Log(outcomes[name])
			})
		}
		figures[fmt.Sprintf("%s, %s (%.0f%%)", a.id, a.what, 100**scale)] = outcomes
	}
	report.Add(t, report.Row{ID: "others", Figures: figures, Duration: time.Since(began)})
}
