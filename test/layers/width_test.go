package layers

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// width is how many columns a line of prose takes at most, in a comment and in a document. A tab
// takes four.
const width = 100

var (
	comment = regexp.MustCompile(`^\t*//\s`)                              // not a directive
	noProse = regexp.MustCompile("^( *\\||#| {4}|\t| *<|```|\\[.*\\]: )") // of a document: tables, headings, code
)

func TestProseIsNoWiderThanAHundredColumns(t *testing.T) {
	root, err := filepath.Abs("../..")
	require.NoError(t, err)
	files := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() {
			if name == ".git" || name == "testdata" || name == "node_modules" || name == "out" {
				return fs.SkipDir
			}
			return nil
		}
		code, document := strings.HasSuffix(path, ".go"), strings.HasSuffix(path, ".md")
		if entry.Name() == "REPORT.md" { // a program writes it
			return nil
		}
		if !code && !document {
			return nil
		}
		files++
		text, err := os.ReadFile(path)
		fenced, number := false, 0
		for line := range strings.Lines(string(text)) {
			number++
			line = strings.TrimRight(line, "\r\n")
			if document && strings.HasPrefix(strings.TrimSpace(line), "```") {
				fenced = !fenced
			}
			prose := code && comment.MatchString(line) || document && !fenced && !noProse.MatchString(line)
			words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "// "))
			if prose && len(words) > 1 && columns(line) > width {
				assert.Fail(t, "too wide", "%s:%d has %d columns", strings.TrimPrefix(path, root+"/"), number, columns(line))
			}
		}
		return err
	}))
	assert.Greater(t, files, 300)
}

func columns(line string) int {
	return utf8.RuneCountInString(strings.ReplaceAll(line, "\t", "    "))
}
