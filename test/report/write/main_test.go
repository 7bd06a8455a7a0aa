package main

import (
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRowsBecomeATableInTheOrderOfTheMatrix(t *testing.T) {
	rows, err := read(strings.NewReader(`{"id":"C1","holds":"G1","figures":{"kills":1234567,"kinds":{"b":2,"a":-1500.5}},"seconds":1.25,"test":"TestC","commit":"abc","run":"2026-11-28T17:50:00Z"}
{"id":"new","figures":{"a|b":"x"},"seconds":0,"test":"TestN","failed":true}
{"id":"D1","figures":{},"seeds":"1-9","skipped":"short","seconds":118.8,"test":"TestD"}
{"id":"others","figures":{"A2, slow":{"x":"lives","y":"dies"},"A1, silent":{"x":"lives","y":"lives"}},"seconds":1,"test":"TestO","commit":"abc"}
`))
	require.NoError(t, err)
	var out strings.Builder
	require.NoError(t, write(&out, rows, "Here and now."))
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	assert.Contains(t, lines[2], "Here and now.")
	assert.Equal(t, "4 rows, 1 failed, 2 minutes of tests.", lines[4])
	assert.Equal(t, "| D1 | "+matrix[0].load+" |  |  (skipped: short) | 1-9 | 118.8 s | `TestD` |  |", lines[8])
	assert.Contains(t, lines[9], "| G1 | kills: 1,234,567, kinds: (a: -1500.50, b: 2) |  | 1.2 s | `TestC` | abc, 2026-11-28 |")
	assert.Equal(t, []string{"| | x | y |", "|---|---|---|", "| A1, silent | lives | lives |", "| A2, slow | lives | dies |"}, lines[len(lines)-4:])
	assert.Equal(t, "| new |  |  | **failed** a\\|b: x |  | 0.0 s | `TestN` |  |", lines[10])
}

func TestOfEachTestTheLastRunCounts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	rows := []string{
		`{"id":"D1","figures":{"n":1},"test":"TestD","run":"1"}`,
		`{"id":"D1","figures":{"n":2},"test":"TestD","run":"2"}`,
		`{"id":"D1","figures":{"n":3},"test":"TestD/other","run":"1"}`,
		`{"id":"D2","figures":{"n":4},"test":"TestD","run":"1"}`,
		`{"id":"D1","figures":{"n":5},"test":"TestD","run":"2"}`,
	}
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(rows, "\n")+"\n"), 0o600))
	var out, again strings.Builder
	require.NoError(t, run([]string{path}, &out))
	assert.Contains(t, out.String(), "4 rows")
	assert.NotContains(t, out.String(), "n: 1")
	require.NoError(t, run([]string{"-prune", path}, &again))
	assert.Equal(t, out.String(), again.String())
	left, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, strings.Join(rows[1:], "\n")+"\n", string(left))
}

func TestEveryRowThatATestAddsIsDescribed(t *testing.T) {
	described := map[string]bool{others: true}
	for _, m := range matrix {
		assert.False(t, described[m.id], "%s is there twice", m.id)
		described[m.id] = true
	}
	found := 0
	for path, text := range tests(t) {
		for _, match := range regexp.MustCompile(`report\.Row\{\s*ID: "([^"]+)"`).FindAllSubmatch(text, -1) {
			found++
			assert.True(t, described[string(match[1])], "%s: %s", path, match[1])
		}
	}
	assert.Greater(t, found, 30)
}

// A test that has another name now would have rows of two runs.
func TestEveryRowIsOfATestThatThereIs(t *testing.T) {
	there := map[string]bool{}
	for _, text := range tests(t) {
		for _, match := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllSubmatch(text, -1) {
			there[string(match[1])] = true
		}
	}
	file, err := os.Open(filepath.Join("..", "..", "rows.jsonl"))
	require.NoError(t, err)
	defer file.Close()
	rows, err := read(file)
	require.NoError(t, err)
	for _, r := range rows {
		name, _, _ := strings.Cut(r.Test, "/")
		assert.True(t, there[name], "%s: no test %s", r.ID, name)
	}
}

// tests yields the files of all tests, with their paths.
func tests(t *testing.T) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		require.NoError(t, filepath.WalkDir(filepath.Join("..", "..", ".."), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			if err == nil && !yield(path, text) {
				return fs.SkipAll
			}
			return err
		}))
	}
}

func TestWhatIsNoRowIsOneSentence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	require.NoError(t, os.WriteFile(path, []byte("{}\nnonsense\n"), 0o600))
	assert.ErrorContains(t, run([]string{path}, &strings.Builder{}), "line 2")
	assert.Error(t, run(nil, &strings.Builder{}))
	assert.Error(t, run([]string{filepath.Join(t.TempDir(), "none")}, &strings.Builder{}))
}
