package layers

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

// A verb of the Makefile whose pattern matches no test passes, and runs nothing.
func TestEveryPatternOfTheMakefileMatchesATest(t *testing.T) {
	root := filepath.Join("..", "..")
	var names []string
	require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, match := range regexp.MustCompile(`(?m)^func ((?:Test|Benchmark)\w+)\(`).FindAllSubmatch(text, -1) {
			names = append(names, string(match[1]))
		}
		return err
	}))
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	patterns := regexp.MustCompile(`-(?:run|skip|bench) ('[^']+'|\S+)`).FindAllStringSubmatch(string(text), -1)
	assert.Greater(t, len(patterns), 10)
	for _, match := range patterns {
		pattern := strings.Trim(strings.ReplaceAll(match[1], "$$", "$"), "'")
		if pattern == "^$" {
			continue // no test, on purpose
		}
		inner, anchored := strings.CutPrefix(pattern, "^(")
		for one := range strings.SplitSeq(strings.TrimSuffix(inner, ")$"), "|") {
			one, _, _ = strings.Cut(one, "/")
			if anchored {
				one = "^" + one + "$"
			}
			found := false
			for _, name := range names {
				found = found || regexp.MustCompile(one).MatchString(name)
			}
			assert.True(t, found, "%s: no test is called %s", pattern, one)
		}
	}
}
