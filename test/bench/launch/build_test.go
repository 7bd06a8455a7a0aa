package launch

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheFirstLineThatSaysSomethingIsTheComplaint(t *testing.T) {
	err := errors.New("exit status 1")
	assert.Equal(t, "echo.go:7:2: undefined: x", complaint("go: downloading a/b v1\n# a/echo\necho.go:7:2: undefined: x\n\tmore\n", err))
	assert.Equal(t, "exit status 1", complaint("# a/echo\n\n", err))
}

func TestAServerThatDoesNotBuildIsSkippedWithASentence(t *testing.T) {
	b, err := Build(t.Context(), []string{"gonet", "nonexistent"})
	require.NoError(t, err)
	require.NoError(t, b.Problem("gonet"))
	assert.Equal(t, runtime.Version(), b.Version("gonet", ""))
	problem := b.Problem("nonexistent")
	require.ErrorIs(t, problem, ErrSkipped)
	assert.ErrorContains(t, problem, "skipped: it does not build here: go build ./servers/nonexistent: ")
	assert.Empty(t, b.Version("nonexistent", ""))
}

func TestTheBenchmarkRunsInItsModuleOnly(t *testing.T) {
	t.Chdir("/")
	_, err := Build(t.Context(), nil)
	assert.EqualError(t, err, "the benchmark runs inside its module only: cd test/bench and repeat")
}
