package launch

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/bench/load"
	"github.com/go-berth/berth/test/bench/plan"
)

// script makes a shell script pass for a built binary.
func script(t *testing.T, name, text string) *Binaries {
	t.Helper()
	b := &Binaries{dir: t.TempDir(), problems: map[string]error{}}
	require.NoError(t, os.WriteFile(filepath.Join(b.dir, name), []byte("#!/bin/sh\n"+text), 0o755))
	return b
}

var server = plan.Server{ID: "one", Binary: "one", Args: []string{"-a", "1"}}

func TestAServerIsStartedWithItsArgumentsAndTheCases(t *testing.T) {
	t.Setenv("GOGC", "400")
	b := script(t, "one", `echo a line of its own
echo "listening on $1$2$3$4:$GOGC"
exec sleep 60`)
	s, err := b.Start(t.Context(), server, plan.Case{Sleep: time.Second, Environment: []string{"GOGC=10"}})
	require.NoError(t, err)
	assert.Equal(t, "-a1-sleep1s:10", s.Addr, "the caller's GOGC is not the server's")
	require.NoError(t, s.Died())
	s.Stop()
	assert.ErrorContains(t, s.Died(), "the server ended during the run: signal: terminated")
}

func TestAServerThatEndsAtOnceIsQuotedWithItsLastLine(t *testing.T) {
	b := script(t, "one", "echo first >&2; echo 'flag provided but not defined: -a' >&2; exit 2")
	_, err := b.Start(t.Context(), server, plan.Case{})
	assert.EqualError(t, err, "the server ended before it listened: flag provided but not defined: -a")
}

func TestAServerThatEndsInSilenceIsReportedWithItsStatus(t *testing.T) {
	_, err := script(t, "one", "exit 3").Start(t.Context(), server, plan.Case{})
	assert.EqualError(t, err, "the server ended before it listened: exit status 3")
}

func TestAServerThatDoesNotListenIsStoppedWithTheRun(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := script(t, "one", "exec sleep 60").Start(ctx, server, plan.Case{})
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestAMissingBinaryDoesNotStart(t *testing.T) {
	b := &Binaries{dir: t.TempDir()}
	_, err := b.Start(t.Context(), server, plan.Case{})
	assert.ErrorContains(t, err, "the server does not start")
}

func TestTheGeneratorsSentenceIsTheError(t *testing.T) {
	_, err := script(t, generator, "echo 'connection 3: byte 7 came back as 0x00, sent was 0x01' >&2; exit 1").
		Generate(t.Context(), load.Job{})
	assert.EqualError(t, err, "connection 3: byte 7 came back as 0x00, sent was 0x01")
}

func TestAGeneratorThatTakesTooLongIsStopped(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("it took too long"))
	defer cancel()
	_, err := script(t, generator, "exec sleep 60").Generate(ctx, load.Job{})
	assert.EqualError(t, err, "the load generator was stopped: it took too long")
}

func TestAGeneratorWithoutAResultIsAnError(t *testing.T) {
	_, err := script(t, generator, "echo nonsense").Generate(t.Context(), load.Job{})
	assert.ErrorContains(t, err, "the load generator gave no result")
}
