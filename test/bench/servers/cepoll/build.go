// Package cepoll holds the C server that the Go servers are compared with, and compiles it where
// the machine has a C compiler. The source has a directory of its own: the go command takes no .c
// file beside Go files without cgo.
package cepoll

import (
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

//go:embed source/epoll.c
var source []byte

// ErrUnavailable says that this machine cannot have the C server; its rows are skipped then.
var ErrUnavailable = errors.New("the C epoll server needs Linux and a C compiler named cc")

// Build compiles the server to the path target.
func Build(target string) error {
	compiler, err := exec.LookPath("cc")
	if err != nil || runtime.GOOS != "linux" {
		return ErrUnavailable
	}
	dir, err := os.MkdirTemp("", "berth-bench-cc-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // at worst a file stays in the temporary directory
	file := filepath.Join(dir, "epoll.c")
	if err := os.WriteFile(file, source, 0o600); err != nil {
		return err
	}
	output, err := exec.Command(compiler, "-O2", "-Wall", "-o", target, file).CombinedOutput()
	if err != nil {
		return fmt.Errorf("cc cannot compile epoll.c: %w: %s", err, strings.TrimSpace(string(output)))
	}
	return nil
}

// Version is the first line of the compiler's own description, or "" without a compiler.
func Version() string {
	output, err := exec.Command("cc", "--version").Output()
	if err != nil {
		return ""
	}
	line, _, _ := strings.Cut(string(output), "\n")
	return line
}
