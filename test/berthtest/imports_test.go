package berthtest_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program that uses berthtest gets no library of assertions with it.
func TestItImportsBerthAndProtoActorOnly(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			standard := !strings.Contains(path, ".")
			assert.True(t, standard || strings.HasPrefix(path, "github.com/go-berth/berth") ||
				strings.HasPrefix(path, "github.com/asynkron/protoactor-go/"), "%s imports %s", file, path)
		}
	}
}
