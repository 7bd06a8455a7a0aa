package examples

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
	_ "github.com/go-berth/berth/listener" // what the programs use: a change of it must run these tests again
)

func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", name))
	require.NoError(t, err)
	return string(text)
}

// Every Go block of the README is a whole program. Each is built as it stands there, but for the
// port, and echoes.
func TestTheReadmesProgramsWork(t *testing.T) {
	const port = `"127.0.0.1:7000"`
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(readDocument(t, "README.md"), -1)
	require.Len(t, blocks, 3, "one for each form")
	for i, block := range blocks {
		t.Run(strconv.Itoa(i+1), func(t *testing.T) {
			require.Equal(t, 1, strings.Count(block[1], port))
			p := program.Start(t, buildText(t, strings.Replace(block[1], port, `"127.0.0.1:0"`, 1)))
			conn, err := net.Dial("tcp", p.AwaitStderr(t, "listening on "))
			require.NoError(t, err)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(program.Limit)))
			_, err = io.WriteString(conn, "as the README says")
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			assert.Equal(t, "as the README says", string(answer))
			p.AwaitStderr(t, "peer closed")
		})
	}
}

// buildText builds a program of one file that exists in an overlay only: seen by the compiler
// inside of this module, written outside of it.
func buildText(t *testing.T, text string) string {
	t.Helper()
	here, err := os.Getwd()
	require.NoError(t, err)
	dir := t.TempDir()
	source, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(source, []byte(text), 0o600))
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(here, "readme", "main.go"): source}})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, replace, 0o600))
	return program.Build(t, "./readme", "-overlay", overlay)
}

func TestTheQuickStartIsTwoCommands(t *testing.T) {
	_, section, _ := strings.Cut(readDocument(t, "README.md"), "## Quick start\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var commands []string
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	assert.Equal(t, []string{"go run ./examples/echo", "go test ./..."}, commands)
}

// What the documents point at exists: a guarantee whose test was renamed is one without a test.
func TestTheDocumentsPointAtWhatExists(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)#:]+)\)`)
	for _, document := range []string{"README.md", "ARCHITECTURE.md"} {
		found := links.FindAllStringSubmatch(readDocument(t, document), -1)
		assert.NotEmpty(t, found, document)
		for _, link := range found {
			_, err := os.Stat(filepath.Join("..", link[1]))
			assert.NoError(t, err, "%s: %s", document, link[1])
		}
	}
}

// The table has a test for each guarantee, by a name that is in the file it points at.
func TestEveryGuaranteeHasItsTest(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| \*\*G(\d+)\*\* [^|]*\|[^|]*\|([^|]*)\|`).FindAllStringSubmatch(readDocument(t, "README.md"), -1)
	require.GreaterOrEqual(t, len(rows), 14)
	before := 0
	held := regexp.MustCompile("`(Test[^`]*)` in \\[[^]]*\\]\\(([^)]*)\\)")
	for _, row := range rows {
		number, err := strconv.Atoi(row[1])
		require.NoError(t, err)
		assert.Greater(t, number, before, "in order")
		before = number
		tests := held.FindAllStringSubmatch(row[2], -1)
		assert.NotEmpty(t, tests, "G%s names no test", row[1])
		for _, test := range tests {
			name, part, _ := strings.Cut(test[1], "/")
			assert.Regexp(t, `(?m)^func `+name+`\(`, readDocument(t, test[2]))
			assert.Contains(t, readDocument(t, test[2]), strings.ReplaceAll(part, "_", " "))
		}
	}
}
