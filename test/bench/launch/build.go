// Package launch builds the servers and the load generator, and runs them as processes of their
// own. Servers that cannot be built here are reported with the reason, and never left out silently.
package launch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/go-berth/berth/test/bench/servers/cepoll"
)

const (
	modulePath = "github.com/go-berth/berth/test/bench"
	generator  = "generator"
	berth      = "berth"
	c          = "cepoll"
)

// ErrSkipped marks a server this machine or this state of the repository cannot have. Any other
// build error of a peer is reported the same way; one of Berth's own fails the run.
var ErrSkipped = errors.New("skipped")

// Binaries are the executables, by the name plan.Server.Binary gives them.
type Binaries struct {
	dir      string
	problems map[string]error
}

// Build builds the generator and the servers named. An error means that nothing can be measured;
// a server that cannot be built is a Problem instead.
func Build(ctx context.Context, names []string) (*Binaries, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	b := &Binaries{dir: filepath.Join(root, "out", "bin"), problems: map[string]error{}}
	if err := os.MkdirAll(b.dir, 0o755); err != nil {
		return nil, fmt.Errorf("there is no place for the binaries: %w", err)
	}
	if err := goBuild(ctx, root, b.path(generator), "./generator"); err != nil {
		return nil, fmt.Errorf("the load generator cannot be built: %w", err)
	}
	for _, name := range names {
		if err := b.build(ctx, root, name); err != nil {
			b.problems[name] = err
		}
	}
	return b, nil
}

// build makes one server. With an up-to-date binary of an earlier run the go command does not link
// again.
func (b *Binaries) build(ctx context.Context, root, name string) error {
	switch name {
	case c:
		err := cepoll.Build(b.path(name))
		if errors.Is(err, cepoll.ErrUnavailable) {
			return fmt.Errorf("%w: %w", ErrSkipped, err)
		}
		return err
	case berth:
		// By its own module, so that it is measured with the dependencies it ships.
		repository := filepath.Join(root, "..", "..")
		if sources, _ := filepath.Glob(filepath.Join(repository, "examples", "echo", "*.go")); len(sources) == 0 {
			return fmt.Errorf("%w: the repository has no examples/echo yet", ErrSkipped)
		}
		return goBuild(ctx, repository, b.path(name), "./examples/echo", "-buildvcs=auto")
	default:
		if err := goBuild(ctx, root, b.path(name), "./servers/"+name); err != nil {
			return fmt.Errorf("%w: it does not build here: %w", ErrSkipped, err)
		}
		return nil
	}
}

// Problem says why a server has no binary; nil if it has one.
func (b *Binaries) Problem(name string) error { return b.problems[name] }

func (b *Binaries) path(name string) string { return filepath.Join(b.dir, name) }

func goBuild(ctx context.Context, dir, target, pkg string, flags ...string) error {
	args := append([]string{"build", "-o", target}, flags...)
	build := exec.CommandContext(ctx, "go", append(args, pkg)...)
	build.Dir = dir
	output, err := build.CombinedOutput()
	if err != nil {
		return fmt.Errorf("go build %s: %s", pkg, complaint(string(output), err))
	}
	return nil
}

// complaint is the first line with a message: the go command heads its lists with "# package".
func complaint(output string, err error) string {
	for line := range strings.Lines(output) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "go: downloading") {
			return line
		}
	}
	return err.Error()
}

// moduleRoot finds this module from the working directory.
func moduleRoot(ctx context.Context) (string, error) {
	output, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Path}}\t{{.Dir}}").Output()
	path, dir, _ := strings.Cut(strings.TrimSpace(string(output)), "\t")
	if err != nil || path != modulePath {
		return "", errors.New("the benchmark runs inside its module only: cd test/bench and repeat")
	}
	return dir, nil
}
