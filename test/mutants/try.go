package mutants

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"

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

// try runs the defect's tests until one fails.
func try(root string, d defect) (verdict, error) {
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
		output, passed, err := goTest(root, c, "-overlay", path)
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
// prove nothing.
func soundWithout(root string, chosen []defect) error {
	done := map[check]bool{}
	for _, d := range chosen {
		for _, c := range d.CaughtBy {
			if done[c] {
				continue
			}
			done[c] = true
			output, passed, err := goTest(root, c, "-timeout", soundTimeout)
			switch {
			case err != nil:
				return err
			case !passed:
				return fmt.Errorf("%s %s fails without any defect: %s", c.Package, c.Tests, failure(output))
			case strings.Contains(output, "no tests to run"):
				return fmt.Errorf("%s has no test %s", c.Package, c.Tests)
			}
		}
	}
	return nil
}

const (
	// testTimeout is for a defect that makes a test wait for ever.
	testTimeout = "60s"
	// soundTimeout is for tests without one: they pass, however busy the machine is.
	soundTimeout = "10m"
)

// goTest runs the tests. A build that fails is an error: a defect that does not compile proves
// nothing.
func goTest(root string, c check, flags ...string) (output string, passed bool, err error) {
	arguments := append([]string{"test", "-count=1", "-timeout", testTimeout, "-tags", c.Tags, "-run", c.Tests}, flags...)
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
