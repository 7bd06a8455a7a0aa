// Package layers_test tests the structure of the module: which package may import which, and that
// the table of options in docs agrees with the code.
package layers_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	root   = "../.."
	module = "github.com/go-berth/berth/"
	proto  = "github.com/asynkron/protoactor-go/"
)

// layers are the packages of the core, each with the packages of this module that its code may
// import. The root is what users import. Nothing else may import what is beside the core: systemd,
// netconn, reconnect, requests, session, owner, record, inspector.
var layers = lines(`
	protocol:
	protocol/frame: protocol
	protocol/wire: protocol
	internal/seam:
	internal/missing:
	internal/window:
	actor: protocol protocol/frame internal/seam
	connection/transport: internal/seam
	connection: protocol actor connection/transport internal/missing internal/seam internal/window
	listener: protocol actor connection connection/transport listener/internal/admission internal/missing internal/seam internal/window
	listener/internal/admission: protocol connection internal/seam
	.: protocol protocol/frame actor connection listener
	systemd:
	netconn: protocol actor connection listener
	reconnect: protocol actor listener internal/missing
	requests: protocol protocol/frame actor
	session:
	owner: protocol protocol/wire
	record: protocol actor
	inspector: . protocol connection internal/missing
`)

// lines reads one package on each line: its name, a colon, what it may import.
func lines(text string) map[string][]string {
	all := map[string][]string{}
	for line := range strings.Lines(text) {
		if folder, allowed, found := strings.Cut(strings.TrimSpace(line), ":"); found {
			all[folder] = strings.Fields(allowed)
		}
	}
	return all
}

// foreign are the imports from other modules that the core may have, by prefix, and where.
var foreign = map[string][]string{
	"github.com/orcaman/concurrent-map": {"actor"}, // the type of Proto.Actor's registry, to make it smaller
	proto + "actor":                     {"protocol", "protocol/wire", "actor", "connection", "listener", ".", "netconn", "reconnect", "requests", "inspector", "owner", "record"},
	proto + "eventstream":               {"actor", "listener"},
	"github.com/coreos/go-systemd/":     {"systemd"},
	"github.com/pires/go-proxyproto":    {"connection/transport"},
	"golang.org/x/sys/":                 {"connection/transport", "listener"},
	"golang.org/x/time/rate":            {"listener/internal/admission"},
	"google.golang.org/protobuf/":       {"protocol/wire"},
}

// pure are the files that know neither actors nor sockets, so that they can be tested alone.
var pure = []string{
	"protocol/buffer.go", "protocol/reason.go",
	"internal/window/window.go", "actor/ring.go", "actor/turns.go", "actor/policy.go",
	"connection/credit.go", "connection/completions.go", "connection/vector.go", "connection/timeouts.go",
	"connection/transport/chunk.go", "connection/transport/input.go",
	"listener/internal/admission/limiter.go", "listener/internal/admission/per_ip.go", "listener/internal/admission/prefixes.go", "listener/backoff.go",
	"reconnect/outbox.go", "reconnect/backoff.go", "requests/table.go",
}

// imports returns what each file below the folders imports, tests left out.
func imports(t *testing.T, folder string) map[string][]string {
	files, err := filepath.Glob(filepath.Join(root, folder, "*.go"))
	require.NoError(t, err)
	all := map[string][]string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		require.NoError(t, err)
		name := filepath.ToSlash(filepath.Join(folder, filepath.Base(file)))
		all[name] = nil
		for _, spec := range parsed.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			all[name] = append(all[name], path)
		}
	}
	return all
}

func standard(path string) bool { return !strings.Contains(strings.Split(path, "/")[0], ".") }

// inModule returns the folder of a package of this module.
func inModule(path string) (folder string, is bool) {
	if path+"/" == module {
		return ".", true
	}
	return strings.CutPrefix(path, module)
}

func TestImportsRunOneWay(t *testing.T) {
	for folder, allowed := range layers {
		for file, paths := range imports(t, folder) {
			for _, path := range paths {
				ours, is := inModule(path)
				assert.True(t, !is || slices.Contains(allowed, ours), "%s must not import %s", file, path)
			}
		}
	}
}

// What an example needs of this module is in package berth, as it is for every program. Beside it
// programs import the decoders of frames, the service manager, the inspector, the bridge to package
// net, what they share with each other, and packages of their own; the one over several machines
// imports sessions and their store.
func TestTheExamplesImportBerthAlone(t *testing.T) {
	programs, err := filepath.Glob(filepath.Join(root, "examples", "*", "main.go"))
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(programs), 7)
	for _, program := range append(programs, filepath.Join(root, "examples", "internal", "cli", "program.go")) {
		folder, err := filepath.Rel(root, filepath.Dir(program))
		require.NoError(t, err)
		own := module + filepath.ToSlash(folder) + "/"
		allowed := []string{"protocol/frame", "systemd", "inspector", "netconn", "examples/internal/cli"}
		if filepath.Base(folder) == "cluster" {
			allowed = append(allowed, "session", "sessionnats")
		}
		for file, paths := range imports(t, folder) {
			for _, path := range paths {
				ours, is := strings.CutPrefix(path, module)
				assert.True(t, !is || slices.Contains(allowed, ours) || strings.HasPrefix(path, own),
					"%s must not import %s", file, path)
			}
		}
	}
}

func TestTheCoreImportsOfOthersOnlyProtoActorsActorAndSystemCalls(t *testing.T) {
	allowed := func(folder, path string) bool {
		for prefix, folders := range foreign {
			if strings.HasPrefix(path, prefix) && slices.Contains(folders, folder) {
				return true
			}
		}
		return false
	}
	for folder := range layers {
		for file, paths := range imports(t, folder) {
			for _, path := range paths {
				_, ofModule := inModule(path)
				assert.True(t, standard(path) || ofModule || allowed(folder, path), "%s must not import %s", file, path)
			}
		}
	}
}

func TestPureCoresKnowNeitherActorsNorSockets(t *testing.T) {
	for _, file := range pure {
		paths, found := imports(t, filepath.Dir(file))[file]
		require.True(t, found, "%s is not there", file)
		for _, path := range paths {
			assert.False(t, path == "net" || strings.HasPrefix(path, proto) || strings.HasPrefix(path, "golang.org/"), "%s must not import %s", file, path)
		}
	}
}

func TestEveryPackageOfTheCoreHasItsLayer(t *testing.T) {
	found := 0
	require.NoError(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		folder, err := filepath.Rel(root, path)
		require.NoError(t, err)
		_, noModule := os.Stat(filepath.Join(path, "go.mod"))
		switch folder = filepath.ToSlash(folder); {
		case folder == ".":
		case noModule == nil, strings.HasPrefix(entry.Name(), "."), slices.Contains([]string{"test", "examples", "internal/setup"}, folder):
			return filepath.SkipDir // a module of its own, or code that is not the core's
		}
		if files, _ := filepath.Glob(filepath.Join(path, "*.go")); len(files) > 0 {
			assert.Contains(t, layers, folder)
			found++
		}
		return nil
	}))
	assert.Equal(t, len(layers), found)
}
