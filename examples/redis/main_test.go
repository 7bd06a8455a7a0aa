package main

import (
	"bufio"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

func TestTheProgram(t *testing.T) {
	path := program.Build(t, ".")
	p := program.Start(t, path, "-addr", "127.0.0.1:0", "-max-clients", "1")
	conn := program.DialTCP(t, p.Addr(t))
	_, err := io.WriteString(conn, "SET a 1\r\nINCR a\r\n")
	require.NoError(t, err)
	replies := bufio.NewReader(conn)
	for _, want := range []string{"+OK\r\n", ":2\r\n"} {
		line, err := replies.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, want, line)
	}
	second := program.DialTCP(t, p.Addr(t))
	refusal, err := io.ReadAll(second)
	require.NoError(t, err)
	require.Equal(t, "-ERR max number of clients reached\r\n", string(refusal))

	p.Signal(t, os.Interrupt)
	p.AwaitStderr(t, "msg=draining")
	_, err = io.ReadAll(replies)
	require.NoError(t, err)
	conn.Close()
	assert.Zero(t, p.Wait(t), "standard error: %q", p.Stderr())
}

func TestBadFlags(t *testing.T) {
	path := program.Build(t, ".")
	for _, c := range []struct {
		want      string
		arguments []string
	}{
		{`redis: unexpected argument "now"`, []string{"now"}},
		{"redis: -max-bulk and -max-command must be more than 0", []string{"-max-bulk", "0"}},
		{"redis: -max-pending 1 is not between 64 KiB and 1 GiB", []string{"-max-pending", "1"}},
		{"redis: flag provided but not defined: -nonsense", []string{"-nonsense"}},
	} {
		p := program.Start(t, path, c.arguments...)
		assert.Equal(t, 1, p.Wait(t))
		assert.Equal(t, []string{c.want}, p.Stderr())
	}
}
