package cepoll_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/bench/servers/cepoll"
)

// start builds and starts the server; without a compiler the test is skipped.
func start(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "cepoll")
	err := cepoll.Build(binary)
	if errors.Is(err, cepoll.ErrUnavailable) {
		t.Skip(err)
	}
	require.NoError(t, err)
	command := exec.Command(binary)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	return strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
}

func TestTheCServerEchoesMoreThanTheKernelTakesAtOnce(t *testing.T) {
	conn, err := net.Dial("tcp", start(t))
	require.NoError(t, err)
	defer conn.Close()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	go func() {
		_, _ = conn.Write(sent)
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.True(t, bytes.Equal(sent, got), "%d bytes came back of %d", len(got), len(sent))
}

func TestTheCompilerIsNamed(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("there is no C compiler")
	}
	assert.NotEmpty(t, cepoll.Version())
}
