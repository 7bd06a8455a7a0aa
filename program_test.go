package berth_test

import (
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// first is the shortest program that serves. It stands in the package's documentation and in the
// README.
const first = `package main

import (
	"log"

	"github.com/go-berth/berth"
)

func main() {
	echo := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		_, err := socket.Forward(data)
		return err
	})
	log.Fatal(berth.ListenAndServe("127.0.0.1:7000", echo))
}
`

func TestTheDocumentationShowsTheFirstProgram(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, body, _ := strings.Cut(first, "func main() {\n")
	for line := range strings.Lines(strings.TrimSuffix(body, "}\n")) {
		assert.Contains(t, string(doc), "//"+line)
	}
	readme, err := os.ReadFile("README.md")
	require.NoError(t, err)
	assert.Contains(t, strings.ReplaceAll(string(readme), "\r\n", "\n"), "```go\n"+first+"```")
}

// A separate module requires this one, as a user's module does, with this import alone.
func TestTheFirstProgramServesFromAModuleOfItsOwn(t *testing.T) {
	root, err := os.Getwd()
	require.NoError(t, err)
	mod, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	sums, err := os.ReadFile("go.sum")
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	text := regexp.MustCompile(`(?m)^module .*$`).ReplaceAllString(string(mod), "module example.org/first")
	write("go.mod", text+"\nrequire github.com/go-berth/berth v0.0.0\n\nreplace github.com/go-berth/berth => "+filepath.ToSlash(root)+"\n")
	write("go.sum", string(sums))
	l, err := net.Listen("tcp", "127.0.0.1:0") // for a port that is free, most likely
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	write("main.go", strings.Replace(first, "127.0.0.1:7000", addr, 1))
	path := filepath.Join(dir, "first")
	if runtime.GOOS == "windows" {
		path += ".exe"
	}
	build := exec.Command("go", "build", "-mod=mod", "-o", path, ".")
	build.Dir = dir
	build.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	output, err := build.CombinedOutput()
	require.NoError(t, err, "%s", output)

	server := exec.Command(path)
	var stderr strings.Builder
	server.Stderr = &stderr
	require.NoError(t, server.Start())
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		assert.Empty(t, stderr.String(), "it writes nothing")
	}()
	var conn net.Conn
	for began := time.Now(); ; {
		if conn, err = net.Dial("tcp", addr); err == nil || time.Since(began) > patience {
			break
		}
	}
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, "hello")
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, "hello", string(answer))
}
