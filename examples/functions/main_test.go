package main

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

func TestFunctionsThreadAStatePerConnection(t *testing.T) {
	p := program.Start(t, program.Build(t, "."), "-addr", "127.0.0.1:0")
	addr := p.Addr(t)

	other := program.DialTCP(t, addr) // has a count of its own
	_, err := io.WriteString(other, "alone\n")
	require.NoError(t, err)

	conn := program.DialTCP(t, addr)
	for _, piece := range []string{"one\ntw", "o\r\n\nfo", "ur\n.\nafter the end\n"} {
		_, err := io.WriteString(conn, piece)
		require.NoError(t, err)
	}
	said, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, "type lines, and a dot to end\n1: one\n2: two\n3: \n4: four\n4 lines, 10 bytes\n", string(said))
	conn.Close()
	p.AwaitStderr(t, "closed after 4 lines")

	require.NoError(t, other.CloseWrite())
	said, err = io.ReadAll(other)
	require.NoError(t, err)
	assert.Equal(t, "type lines, and a dot to end\n1: alone\n", string(said))
	p.AwaitStderr(t, "peer closed after 1 lines")

	p.Signal(t, os.Interrupt)
	assert.Zero(t, p.Wait(t))
}

// The answers to the short lines of one read are longer than the write buffer.
func TestShortLinesHaveLongAnswers(t *testing.T) {
	const lines = 12_000
	p := program.Start(t, program.Build(t, "."), "-addr", "127.0.0.1:0")
	conn := program.DialTCP(t, p.Addr(t))
	_, err := io.WriteString(conn, strings.Repeat("\n", lines)+".\n")
	require.NoError(t, err)
	said, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, 1+lines+1, bytes.Count(said, []byte("\n")))
	assert.True(t, strings.HasSuffix(string(said), "\n12000 lines, 0 bytes\n"))
}

// A line that does not end cannot take more memory than the read buffer: the connection ends, with
// a reason.
func TestALineWithoutEndEndsTheConnection(t *testing.T) {
	p := program.Start(t, program.Build(t, "."), "-addr", "127.0.0.1:0")
	conn := program.DialTCP(t, p.Addr(t))
	_, err := conn.Write(bytes.Repeat([]byte("x"), 9000))
	require.NoError(t, err)
	_, err = io.ReadAll(conn)
	require.NoError(t, err)
	conn.Close()
	p.AwaitStderr(t, "read buffer full after 0 lines")
}
