package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

func TestFunctionsThreadAStatePerConnection(t *testing.T) {
	p := program.Start(t, program.Build(t, "."), "-addr", "127.0.0.1:0")
	addr := p.Addr(t)

	other := dial(t, addr) // has a count of its own
	_, err := io.WriteString(other, "alone\n")
	require.NoError(t, err)

	conn := dial(t, addr)
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

// A line that does not end cannot take more memory than the read buffer: the connection ends, with
// a reason.
func TestALineWithoutEndEndsTheConnection(t *testing.T) {
	p := program.Start(t, program.Build(t, "."), "-addr", "127.0.0.1:0")
	conn := dial(t, p.Addr(t))
	_, err := conn.Write(bytes.Repeat([]byte("x"), 9000))
	require.NoError(t, err)
	_, err = io.ReadAll(conn)
	require.NoError(t, err)
	conn.Close()
	p.AwaitStderr(t, "read buffer full after 0 lines")
}

func dial(t *testing.T, addr string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(program.Limit)))
	return conn.(*net.TCPConn)
}
