package sessionnats_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var ownBlock = regexp.MustCompile("(?s)```go module=sessionnats\n(.*?)```")

// The blocks of the documents that are marked as this module's are whole programs, and compile.
func TestTheGoBlocksOfThisModuleCompile(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	require.NoError(t, err)
	page, err := os.ReadFile("../docs/sessions.md")
	require.NoError(t, err)
	blocks := ownBlock.FindAllStringSubmatch(string(page), -1)
	require.NotEmpty(t, blocks)
	dir, replace, packages := t.TempDir(), map[string]string{}, []string{}
	for i, block := range blocks {
		source := filepath.Join(dir, fmt.Sprintf("block%d.go", i))
		require.NoError(t, os.WriteFile(source, []byte(block[1]), 0o600))
		folder := fmt.Sprintf("document_%d", i)
		replace[filepath.Join(here, folder, "main.go")] = source
		packages = append(packages, "./"+folder)
	}
	content, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	overlay := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(overlay, content, 0o600))
	output, err := exec.Command("go", append([]string{"build", "-o", dir + "/", "-overlay", overlay}, packages...)...).CombinedOutput()
	assert.NoError(t, err, "%s", output)
}
