package mutants

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"time"

	"github.com/go-berth/berth/test/report"
)

// verdict is the result for one defect.
type verdict struct {
	caught bool
	by     string // the test that failed, or how the run ended
}

func (v verdict) String() string {
	if v.caught {
		return "caught by " + v.by
	}
	return "SURVIVED"
}

// try runs the defect's tests until one fails. sound is what soundWithout returned.
func try(root string, d defect, sound map[check]time.Duration) (verdict, error) {
	dir, err := os.MkdirTemp("", "mutant-")
	if err != nil {
		return verdict{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path, err := overlay(root, dir, d)
	if err != nil {
		return verdict{}, err
	}
	for _, c := range d.CaughtBy {
		output, passed, err := goTest(root, c, patience(sound[c]), "-overlay", path)
		if err != nil {
			return verdict{}, err
		}
		if !passed {
			return verdict{caught: true, by: failure(output)}, nil
		}
	}
	return verdict{}, nil
}

// soundWithout makes sure that the tests pass on the code as it is: otherwise their failure would
// prove nothing. It returns how long those of each check took.
func soundWithout(root string, chosen []defect) (map[check]time.Duration, error) {
	took := map[check]time.Duration{}
	for _, d := range chosen {
		for _, c := range d.CaughtBy {
			if _, done := took[c]; done {
				continue
			}
			output, passed, err := goTest(root, c, soundTimeout)
			switch {
			case err != nil:
				return nil, err
			case !passed:
				return nil, fmt.Errorf("%s %s fails without any defect: %s", c.Package, c.Tests, failure(output))
			case strings.Contains(output, "no tests to run"):
				return nil, fmt.Errorf("%s has no test %s", c.Package, c.Tests)
			}
			if took[c], err = elapsed(output); err != nil {
				return nil, err
			}
		}
	}
	return took, nil
}

// soundTimeout is for tests without a defect: they pass, however busy the machine is.
const soundTimeout = 10 * time.Minute

// patience is how long tests may take with a defect that makes them wait for ever: twenty times
// what they took without one.
func patience(sound time.Duration) time.Duration { return max(20*time.Second, 20*sound) }

var okLine = regexp.MustCompile(`(?m)^ok\s+\S+\s+(\S+s)\b`)

// elapsed is the time that the output of a run that passed tells.
func elapsed(output string) (time.Duration, error) {
	m := okLine.FindStringSubmatch(output)
	if m == nil {
		return 0, fmt.Errorf("no time in %q", output)
	}
	return time.ParseDuration(m[1])
}

// goTest runs the tests. A build that fails is an error: a defect that does not compile proves
// nothing.
func goTest(root string, c check, timeout time.Duration, flags ...string) (output string, passed bool, err error) {
	arguments := append([]string{
		"test", "-count=1", "-vet=off", "-timeout", timeout.String(), "-tags", c.Tags, "-run", c.Tests,
	}, flags...)
	command := exec.Command("go", append(arguments, "./"+c.Package)...)
	command.Dir = root
	command.Env = append(os.Environ(), report.File+"=") // failures on purpose are no rows
	text, err := command.CombinedOutput()
	output = string(text)
	var exit *exec.ExitError
	switch {
	case err == nil:
		return output, true, nil
	case !errors.As(err, &exit):
		return output, false, err
	case strings.Contains(output, "[build failed]"), strings.Contains(output, "[setup failed]"):
		return output, false, fmt.Errorf("the tests of %s do not compile:\n%s", c.Package, output)
	}
	return output, false, nil
}

var (
	failed = regexp.MustCompile(`(?m)^--- FAIL: (\S+)`)
	// These end a run without such a line: a deadlock in a synctest bubble, a timeout, a crash.
	ended = regexp.MustCompile(`(?m)^(?:panic|fatal error): (.*)$`)
	// In such a run, the test that was under way.
	running = regexp.MustCompile(`(?m)^\s+(Test\S+) \(`)
)

// failure names the test that failed, or says how the run ended.
func failure(output string) string {
	if m := failed.FindStringSubmatch(output); m != nil {
		return m[1]
	}
	if m := ended.FindStringSubmatch(output); m != nil {
		if r := running.FindStringSubmatch(output); r != nil {
			return r[1] + " (" + m[1] + ")"
		}
		return m[1]
	}
	return "the end of the run: " + strings.TrimSpace(output)
}
