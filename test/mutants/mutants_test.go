package mutants

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/test/report"
)

var only = flag.String("mutants", "", "put these defects in and run their tests: part of a name or of a guarantee, or all")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEveryGuaranteeHasADefectAndEveryDefectANameOfItsOwn(t *testing.T) {
	names, guarantees := map[string]bool{}, map[string]bool{}
	for _, d := range defects {
		assert.False(t, names[d.Name], "%s occurs twice", d.Name)
		assert.NotEmpty(t, d.CaughtBy, d.Name)
		assert.NotEqual(t, d.Old, d.New, d.Name)
		names[d.Name], guarantees[d.Guarantee] = true, true
	}
	for g := range strings.FieldsSeq("G1 G2 G3 G4 G5 G6 G7 G8 G9 G10 G11 G12 G13 G14 G15 G16 G17 G18") {
		assert.True(t, guarantees[g], "no defect shows that %s is tested", g)
	}
}

func TestTheTableNamesEveryDefectBesideItsGuarantee(t *testing.T) {
	page, err := os.ReadFile("../../docs/guarantees.md")
	require.NoError(t, err)
	for line := range strings.Lines(string(page)) {
		for _, d := range defects {
			mentioned, its := strings.Contains(line, "`"+d.Name+"`"), strings.HasPrefix(line, "| **"+d.Guarantee+"** ")
			assert.Equal(t, its, mentioned, "%s in %s", d.Name, line)
		}
	}
}

// A defect that no longer fits the code would not be tested at all.
func TestEveryDefectFitsTheCode(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	for _, d := range defects {
		dir := t.TempDir()
		_, err := overlay(root, dir, d)
		require.NoError(t, err, d.Name)
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, filepath.Base(d.File)), nil, 0)
		require.NoError(t, err, d.Name)
		assert.Empty(t, unused(file), "%s leaves an import that is not used: it does not compile", d.Name)
	}
}

// unused returns the named imports of a file that nothing in it uses, and those whose name is the
// last part of their path.
func unused(file *ast.File) (names []string) {
	used := map[string]bool{}
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if name, ok := selector.X.(*ast.Ident); ok {
				used[name.Name] = true
			}
		}
		return true
	})
	for _, spec := range file.Imports {
		name := path.Base(strings.Trim(spec.Path.Value, `"`))
		if spec.Name != nil {
			name = spec.Name.Name
		}
		if name != "_" && !used[name] {
			names = append(names, name)
		}
	}
	return names
}

func TestEveryDefectIsCaught(t *testing.T) {
	if *only == "" {
		t.Skip("some minutes: make mutants")
	}
	root, err := moduleRoot()
	require.NoError(t, err)
	chosen := choose(*only)
	require.NotEmpty(t, chosen, "no defect's name or guarantee contains %q", *only)
	sound, err := soundWithout(root, chosen)
	require.NoError(t, err)
	began, caught := time.Now(), map[string]any{}
	for _, d := range chosen {
		t.Run(d.Name, func(t *testing.T) {
			v, err := try(root, d, sound)
			require.NoError(t, err)
			t.Logf("%s, %s: %s", d.Guarantee, d.What, v)
			require.True(t, v.caught)
			caught[d.Name] = v.by
		})
	}
	figures := map[string]any{"defects": len(chosen), "caught": len(caught), "by": caught}
	report.Add(t, report.Row{ID: "M", Holds: "the tests", Figures: figures, Duration: time.Since(began)})
}

func choose(only string) []defect {
	var chosen []defect
	for _, d := range defects {
		if only == "all" || strings.Contains(d.Name, only) || d.Guarantee == only {
			chosen = append(chosen, d)
		}
	}
	return chosen
}

func TestADefectIsCaughtByName(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	chosen := choose("last-write-dropped")
	require.Len(t, chosen, 1)
	sound, err := soundWithout(root, chosen)
	require.NoError(t, err)
	require.Len(t, sound, len(chosen[0].CaughtBy))
	v, err := try(root, chosen[0], sound)
	require.NoError(t, err)
	assert.Equal(t, "caught by TestTheWriterDoesNotEndBeforeEveryAcceptedWriteHasCome", v.String())
}

func TestADefectThatChangesNothingSurvives(t *testing.T) {
	root, err := moduleRoot()
	require.NoError(t, err)
	v, err := try(root, defect{
		File: "connection/credit.go", Old: "	case writes >= l.writes:\n", New: "	case l.writes <= writes:\n",
		CaughtBy: []check{{Package: "connection", Tests: "^TestBothLimitsHoldAtEveryInstantUnderManyWriters$"}},
	}, nil)
	require.NoError(t, err)
	assert.Equal(t, "SURVIVED", v.String())
}

func TestHowLongARunTookIsReadFromItsOutput(t *testing.T) {
	took, err := elapsed("ok  \tgithub.com/go-berth/berth/actor\t1.234s\n")
	require.NoError(t, err)
	assert.Equal(t, 1234*time.Millisecond, took)
	assert.Equal(t, 20*time.Second, patience(took-time.Second))
	assert.Equal(t, 40*time.Second, patience(2*time.Second))
	_, err = elapsed("FAIL")
	assert.Error(t, err)
}

func TestHowARunFailedIsReadFromItsOutput(t *testing.T) {
	for output, want := range map[string]string{
		"--- FAIL: TestA (0.1s)\n    --- FAIL: TestA/x\nFAIL":                                 "TestA",
		"panic: test timed out after 1m0s\n	running tests:\n\t\tTestB (1m0s)\n\ngoroutine 1:": "TestB (test timed out after 1m0s)",
		"fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:":   "all goroutines are asleep - deadlock!",
		"exit status 2": "the end of the run: exit status 2",
	} {
		assert.Equal(t, want, failure(output))
	}
}
