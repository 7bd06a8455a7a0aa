package launch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"github.com/go-berth/berth/test/bench/load"
)

// Generate has the load generator do a job. The generator's standard error is the error.
func (b *Binaries) Generate(ctx context.Context, job load.Job) (load.Result, error) {
	input, err := json.Marshal(job)
	if err != nil {
		return load.Result{}, err
	}
	command := exec.CommandContext(ctx, b.path(generator))
	command.Env = environment(nil)
	command.Stdin = bytes.NewReader(input)
	output, err := command.Output()
	if err != nil {
		return load.Result{}, complaintOf(ctx, err)
	}
	var result load.Result
	if err := json.Unmarshal(output, &result); err != nil {
		return load.Result{}, fmt.Errorf("the load generator gave no result: %w", err)
	}
	return result, nil
}

func complaintOf(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("the load generator was stopped: %w", context.Cause(ctx))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if said := strings.TrimSpace(string(exit.Stderr)); said != "" {
			return errors.New(said)
		}
	}
	return fmt.Errorf("the load generator failed: %w", err)
}
