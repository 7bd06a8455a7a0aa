package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

func TestAnActorIsTheConnection(t *testing.T) {
	p := program.Start(t, program.Build(t, "."), "-addr", "127.0.0.1:0")
	addr := p.Addr(t)

	ada := enter(t, addr, "ada")
	ada.reads("* ada is here")
	bob := enter(t, addr, "bob\nhello") // name and first line at once
	for _, c := range []*client{ada, bob} {
		c.reads("* bob is here")
		c.reads("bob: hello")
	}

	ada.types("/every soon hi")
	ada.reads("usage: /every 2s something to say")
	ada.types("/every 5ms tea?") // a child of ada's connection
	bob.reads("ada: tea?")
	bob.reads("ada: tea?")
	ada.types("/stop")
	ada.types("no more tea")
	bob.readsAtLast("ada: no more tea")

	bob.types("/every 5ms still here")
	ada.readsAtLast("bob: still here")
	bob.types("/quit") // the child ends with its parent
	bob.leaves()
	ada.readsAtLast("* bob has left")
	ada.types("alone")
	ada.reads("ada: alone")

	p.Signal(t, os.Interrupt)
	ada.leaves()
	assert.Zero(t, p.Wait(t), "standard error: %q", p.Stderr())
}

// The room writes by PID. What does not fit into a member's write queue comes back to it, and it
// lets that member go; the others stay.
func TestAMemberThatDoesNotReadIsClosed(t *testing.T) {
	p := program.Start(t, program.Build(t, "."), "-addr", "127.0.0.1:0")
	addr := p.Addr(t)
	ada := enter(t, addr, "ada")
	ada.reads("* ada is here")
	enter(t, addr, "deaf")
	ada.reads("* deaf is here")
	long := strings.Repeat("blah ", 1600)
	for n := 0; n < 32<<20; n += len(long) { // more than kernels buffer
		ada.types(long)
		if ada.readsEither("ada: "+long, "* deaf has left") {
			return
		}
	}
	require.Fail(t, "deaf is still here")
}

// client is the other end of a connection, line by line.
type client struct {
	t     *testing.T
	conn  net.Conn
	lines *bufio.Scanner
}

func enter(t *testing.T, addr, name string) *client {
	t.Helper()
	conn := program.Dial(t, "tcp", addr)
	c := &client{t, conn, bufio.NewScanner(conn)}
	c.reads("your name?")
	c.types(name)
	return c
}

func (c *client) types(line string) {
	c.t.Helper()
	_, err := fmt.Fprintln(c.conn, line)
	require.NoError(c.t, err)
}

func (c *client) reads(line string) {
	c.t.Helper()
	require.True(c.t, c.lines.Scan(), "%v", c.lines.Err())
	assert.Equal(c.t, line, c.lines.Text())
}

// leaves reads to the end of the connection, which the server has closed, and closes too.
func (c *client) leaves() {
	c.t.Helper()
	for c.lines.Scan() {
		continue
	}
	require.NoError(c.t, c.lines.Err())
	c.conn.Close()
}

// readsEither reads one line and reports whether it is the second.
func (c *client) readsEither(first, second string) bool {
	c.t.Helper()
	require.True(c.t, c.lines.Scan(), "%v", c.lines.Err())
	if c.lines.Text() == second {
		return true
	}
	require.Equal(c.t, first, c.lines.Text())
	return false
}

// readsAtLast reads over what others say meanwhile.
func (c *client) readsAtLast(line string) {
	c.t.Helper()
	for c.lines.Scan() {
		if c.lines.Text() == line {
			return
		}
	}
	require.FailNow(c.t, "it never came", "%q: %v", line, c.lines.Err())
}
