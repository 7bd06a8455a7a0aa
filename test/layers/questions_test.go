package layers

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The file that ARCHITECTURE.md names for a question has the functions that answer it.
func TestTheFilesThatAnswerQuestionsHaveTheAnswers(t *testing.T) {
	const root = "../.."
	page, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	require.NoError(t, err)
	_, rest, found := strings.Cut(string(page), "<!-- questions -->")
	require.True(t, found)
	text, _, found := strings.Cut(rest, "<!-- /questions -->")
	require.True(t, found)
	link, name := regexp.MustCompile(`\]\(([^)]+\.go)\)`), regexp.MustCompile("`([^`]+)`")
	questions := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !link.MatchString(cells[2]) {
			continue
		}
		questions++
		path := link.FindStringSubmatch(cells[2])[1]
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.SkipObjectResolution)
		if !assert.NoError(t, err, cells[1]) {
			continue
		}
		declared := map[string]bool{}
		for _, d := range file.Decls {
			if function, is := d.(*ast.FuncDecl); is {
				declared[function.Name.Name] = true
			}
		}
		for _, one := range name.FindAllStringSubmatch(cells[3], -1) {
			assert.True(t, declared[one[1]], "%s has no %s", path, one[1])
		}
	}
	assert.Equal(t, 10, questions)
}
