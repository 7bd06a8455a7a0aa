package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRowsBecomeATableInTheOrderOfTheMatrix(t *testing.T) {
	rows, err := read(strings.NewReader(`{"id":"C1","holds":"G1","figures":{"kills":1234567,"kinds":{"b":2,"a":-1500.5}},"seconds":1.25,"test":"TestC","commit":"abc"}
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
	assert.Contains(t, lines[9], "| G1 | kills: 1,234,567, kinds: (a: -1500.50, b: 2) |  | 1.2 s | `TestC` | abc |")
	assert.Equal(t, []string{"| | x | y |", "|---|---|---|", "| A1, silent | lives | lives |", "| A2, slow | lives | dies |"}, lines[len(lines)-4:])
	assert.Equal(t, "| new |  |  | **failed** a\\|b: x |  | 0.0 s | `TestN` |  |", lines[10])
}

func TestEveryRowThatATestAddsIsDescribed(t *testing.T) {
	described := map[string]bool{others: true}
	for _, m := range matrix {
		assert.False(t, described[m.id], "%s is there twice", m.id)
		described[m.id] = true
	}
	id := regexp.MustCompile(`report\.Row\{\s*ID: "([^"]+)"`)
	found := 0
	root := filepath.Join("..", "..", "..")
	require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range id.FindAllSubmatch(text, -1) {
			found++
			assert.True(t, described[string(match[1])], "%s: %s", path, match[1])
		}
		return err
	}))
	assert.Greater(t, found, 30)
}

func TestWhatIsNoRowIsOneSentence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows")
	require.NoError(t, os.WriteFile(path, []byte("{}\nnonsense\n"), 0o600))
	assert.ErrorContains(t, run([]string{path}, &strings.Builder{}), "line 2")
	assert.Error(t, run(nil, &strings.Builder{}))
	assert.Error(t, run([]string{filepath.Join(t.TempDir(), "none")}, &strings.Builder{}))
}
