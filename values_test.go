package berth_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A value of an option or its type, or a reason, that is missing in package berth would need a
// second import.
func TestEveryValueOfAnOptionAndEveryReasonIsHere(t *testing.T) {
	text, err := os.ReadFile("values.go")
	require.NoError(t, err)
	found := 0
	for folder, types := range map[string]string{
		"listener": "WhenFull Transport", "connection": "Gate Mode SlowPolicy", "protocol": "Reason",
	} {
		for name := range strings.FieldsSeq(types) {
			if name != "Reason" { // a handler is told it: berth.go
				assert.Contains(t, string(text), " = "+folder+"."+name+"\n")
			}
		}
		for _, name := range constants(t, folder, strings.Fields(types)) {
			assert.Contains(t, string(text), " = "+folder+"."+name+"\n")
			found++
		}
	}
	assert.Greater(t, found, 30)
}

// constants returns the names of a package's constants of some types, which are counted by iota.
func constants(t *testing.T, folder string, types []string) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, declaration := range parsed.Decls {
			group, ok := declaration.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			first, ok := group.Specs[0].(*ast.ValueSpec).Type.(*ast.Ident)
			if !ok || !slices.Contains(types, first.Name) {
				continue
			}
			for _, spec := range group.Specs {
				names = append(names, spec.(*ast.ValueSpec).Names[0].Name)
			}
		}
	}
	return names
}
