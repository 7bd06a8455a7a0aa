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

	_ "github.com/go-berth/berth" // what the programs use: a change of it must run these tests again
	"github.com/go-berth/berth/examples/internal/program"
)

var goBlock = regexp.MustCompile("(?s)```go\n(.*?)```")

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
	blocks := goBlock.FindAllStringSubmatch(readDocument(t, "README.md"), -1)
	require.Len(t, blocks, 4, "the first program, and one for each other form")
	for i, block := range blocks {
		t.Run(strconv.Itoa(i+1), func(t *testing.T) {
			require.Equal(t, 1, strings.Count(block[1], port))
			addr := freeAddr(t)
			p := program.Start(t, buildText(t, strings.Replace(block[1], port, strconv.Quote(addr), 1)))
			conn := dialSoon(t, addr)
			defer conn.Close()
			require.NoError(t, conn.SetDeadline(time.Now().Add(program.Limit)))
			_, err := io.WriteString(conn, "as the README says")
			require.NoError(t, err)
			require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			answer, err := io.ReadAll(conn)
			require.NoError(t, err)
			assert.Equal(t, "as the README says", string(answer))
			if strings.Contains(block[1], ".Reason") {
				p.AwaitStderr(t, "peer closed")
			}
		})
	}
}

// freeAddr returns an address whose port was free a moment ago.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// dialSoon connects to a server that is about to begin.
func dialSoon(t *testing.T, addr string) net.Conn {
	t.Helper()
	for began := time.Now(); ; time.Sleep(time.Millisecond) {
		conn, err := net.Dial("tcp", addr)
		if err == nil || time.Since(began) > program.Limit {
			require.NoError(t, err)
			return conn
		}
	}
}

func TestTheReadmeIsShort(t *testing.T) {
	assert.LessOrEqual(t, len(readDocument(t, "README.md")), 10<<10)
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

func TestTheQuickStartIsThreeCommands(t *testing.T) {
	_, section, _ := strings.Cut(readDocument(t, "README.md"), "## Quick start\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var commands []string
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	assert.Equal(t, []string{"go get github.com/go-berth/berth", "go run ./examples/echo", "go test ./..."}, commands)
}

// The table has a test for each guarantee, by a name that is in the file it points at.
func TestEveryGuaranteeHasItsTest(t *testing.T) {
	rows := regexp.MustCompile(`(?m)^\| \*\*G(\d+)\*\* [^|]*\|[^|]*\|([^|]*)\|`).FindAllStringSubmatch(readDocument(t, "docs/guarantees.md"), -1)
	require.GreaterOrEqual(t, len(rows), 18)
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
			assert.Regexp(t, `(?m)^func `+name+`\(`, readDocument(t, filepath.Join("docs", test[2])))
			assert.Contains(t, readDocument(t, filepath.Join("docs", test[2])), strings.ReplaceAll(part, "_", " "))
		}
	}
}
