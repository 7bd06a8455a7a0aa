package examples

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	_ "github.com/go-berth/berth/inspector"      // what docs/inspector.md uses
	_ "github.com/go-berth/berth/netconn"        // what docs/netconn.md uses
	_ "github.com/go-berth/berth/owner"          // what docs/cluster.md uses
	_ "github.com/go-berth/berth/reconnect"      // what docs/dialing.md uses
	_ "github.com/go-berth/berth/requests"       // likewise
	_ "github.com/go-berth/berth/session"        // what docs/sessions.md uses
	_ "github.com/go-berth/berth/test/berthtest" // what docs/testing.md uses
)

// imports are the packages that a fragment of a document may name, by the name it uses.
var imports = map[string]string{
	"actor":      "github.com/asynkron/protoactor-go/actor",
	"berth":      "github.com/go-berth/berth",
	"berthtest":  "github.com/go-berth/berth/test/berthtest",
	"binary":     "encoding/binary",
	"connection": "github.com/go-berth/berth/connection",
	"context":    "context",
	"errors":     "errors",
	"fmt":        "fmt",
	"frame":      "github.com/go-berth/berth/protocol/frame",
	"http":       "net/http",
	"inspector":  "github.com/go-berth/berth/inspector",
	"io":         "io",
	"listener":   "github.com/go-berth/berth/listener",
	"log":        "log",
	"net":        "net",
	"netconn":    "github.com/go-berth/berth/netconn",
	"netip":      "net/netip",
	"os":         "os",
	"owner":      "github.com/go-berth/berth/owner",
	"proto":      "google.golang.org/protobuf/proto",
	"protocol":   "github.com/go-berth/berth/protocol",
	"protodelim": "google.golang.org/protobuf/encoding/protodelim",
	"reconnect":  "github.com/go-berth/berth/reconnect",
	"record":     "github.com/go-berth/berth/record",
	"requests":   "github.com/go-berth/berth/requests",
	"session":    "github.com/go-berth/berth/session",
	"signal":     "os/signal",
	"slog":       "log/slog",
	"strconv":    "strconv",
	"strings":    "strings",
	"synctest":   "testing/synctest",
	"syscall":    "syscall",
	"systemd":    "github.com/go-berth/berth/systemd",
	"testing":    "testing",
	"time":       "time",
	"tls":        "crypto/tls",
	"wire":       "github.com/go-berth/berth/protocol/wire",
}

// around is what the fragments take as given: values that a program has at that point.
const around = `
var handler berth.Factory

type service struct{ server *berth.Server }

func use(...any) {}
`

// given are the variables of the program that a fragment of statements stands in.
const given = `ctx context.Context, system *actor.ActorSystem, server *berth.Server, socket, other berth.Socket, data *berth.Buffer, ` +
	`file io.Reader, message proto.Message`

// Every Go block of the pages in docs compiles: a whole file as it stands, declarations and
// statements within a file that has what they need. The blocks of one page are one package.
func TestTheGoBlocksOfTheDocumentsCompile(t *testing.T) {
	here, err := os.Getwd()
	require.NoError(t, err)
	pages, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	dir, replace, packages := t.TempDir(), map[string]string{}, []string{}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		name := strings.TrimSuffix(filepath.Base(page), ".md")
		for i, block := range goBlock.FindAllStringSubmatch(string(text), -1) {
			folder := fmt.Sprintf("document_%s_%d", strings.ReplaceAll(name, "-", "_"), i+1)
			if name == "testing" { // its tests are about the handler that its first block declares
				folder = "document_testing"
			}
			source := filepath.Join(dir, fmt.Sprintf("%s_%d.go", name, i+1))
			require.NoError(t, os.WriteFile(source, []byte(fileOf(block[1])), 0o600))
			replace[filepath.Join(here, folder, fmt.Sprintf("block%d.go", i+1))] = source
			if !slices.Contains(packages, "./"+folder) {
				packages = append(packages, "./"+folder)
			}
		}
	}
	require.GreaterOrEqual(t, len(replace), 15)
	overlay := filepath.Join(dir, "overlay.json")
	content, err := json.Marshal(map[string]any{"Replace": replace})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(overlay, content, 0o600))
	output, err := exec.Command("go", append([]string{"build", "-overlay", overlay}, packages...)...).CombinedOutput()
	assert.NoError(t, err, "%s", output)
}

// fileOf makes a Go file of a block of a document.
func fileOf(block string) string {
	declarations := regexp.MustCompile(`^(//[^\n]*\n)*(func|type) `)
	var text string
	switch {
	case strings.HasPrefix(block, "package "):
		return block
	case declarations.MatchString(block):
		text = block
		if !strings.Contains(block, "berthtest.") && !strings.Contains(block, "type ") {
			text += around
		}
	default:
		text = around + "\nfunc statements(" + given + ") error {\n{\n" + block + "\n"
		for _, name := range defined(block) {
			text += "use(" + name + ")\n"
		}
		if !regexp.MustCompile(`(?m)^return .*\n\z`).MatchString(block) {
			text += "return nil\n"
		}
		text += "}\n}\n"
	}
	named := map[string]bool{}
	for _, match := range regexp.MustCompile(`\b([a-z]+)\.[A-Z]`).FindAllStringSubmatch(text, -1) {
		if path, found := imports[match[1]]; found {
			named[path] = true
		}
	}
	header := "package document\n"
	for _, path := range slices.Sorted(maps.Keys(named)) {
		header += "\nimport " + strconv.Quote(path)
	}
	return header + "\n\n" + text
}

// defined are the variables that the statements of a block declare: a fragment need not use them.
func defined(block string) []string {
	if regexp.MustCompile(`(?m)^return .*\n\z`).MatchString(block) {
		return nil
	}
	var names []string
	for _, match := range regexp.MustCompile(`(?m)^([a-z_]\w*(?:, [a-z_]\w*)*) :=`).FindAllStringSubmatch(block, -1) {
		for name := range strings.SplitSeq(match[1], ", ") {
			if name != "_" {
				names = append(names, name)
			}
		}
	}
	return names
}

// Every relative link of the documents leads to a file that exists, and to a heading in it where
// the link names one.
func TestTheLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	links := regexp.MustCompile(`\]\(([^)\s]+)\)|(?:src|srcset)="([^"]+)"`)
	documents, err := filepath.Glob("../docs/*.md")
	require.NoError(t, err)
	require.NotEmpty(t, documents)
	for _, name := range []string{"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/README.md"} {
		documents = append(documents, filepath.Join("..", name))
	}
	for _, document := range documents {
		text, err := os.ReadFile(document)
		require.NoError(t, err)
		for _, link := range links.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(link[0], "://") {
				continue
			}
			name, heading, _ := strings.Cut(link[1]+link[2], "#")
			target := document
			if name != "" {
				target = filepath.Join(filepath.Dir(document), name)
			}
			if _, err := os.Stat(target); assert.NoError(t, err, "%s: %s", document, link[0]) && heading != "" {
				assert.Contains(t, headings(t, target), heading, "%s: %s", document, link[0])
			}
		}
	}
}

// headings returns those of a document as links name them.
func headings(t *testing.T, document string) []string {
	t.Helper()
	text, err := os.ReadFile(document)
	require.NoError(t, err)
	var names []string
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(string(text), -1) {
		name := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(heading[1]), "")
		names = append(names, strings.ReplaceAll(name, " ", "-"))
	}
	return names
}
