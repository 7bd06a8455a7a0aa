package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
	"github.com/go-berth/berth/sessionnats"
)

// world is a store of one node, and gateways, in this process.
type world struct {
	t        *testing.T
	gateways []*gateway
}

func newWorld(t *testing.T, gateways int) *world {
	t.Helper()
	return newWorldWith(t, gateways, time.Hour)
}

// newWorldWith has stores that keep a session that does not change for so long.
func newWorldWith(t *testing.T, gateways int, attached time.Duration) *world {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), program.Limit)
	defer cancel()
	nodes, err := sessionnats.StartNodes(ctx, 1, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(nodes[0].Close)
	w := &world{t: t}
	t.Cleanup(func() {
		for _, g := range w.gateways {
			g.close()
		}
	})
	for range gateways {
		g, err := startGatewayWith(ctx, "127.0.0.1:0", []string{nodes[0].URL()}, attached)
		require.NoError(t, err)
		w.gateways = append(w.gateways, g)
	}
	return w
}

// terminal is a client that writes lines by hand.
type terminal struct {
	t     *testing.T
	conn  net.Conn
	input *bufio.Scanner
}

func (w *world) dial(gateway int) *terminal {
	w.t.Helper()
	conn := program.Dial(w.t, "tcp", w.gateways[gateway].name)
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(2*time.Minute))) // elections take seconds
	return &terminal{w.t, conn, bufio.NewScanner(conn)}
}

func (c *terminal) write(format string, a ...any) {
	c.t.Helper()
	_, err := fmt.Fprintf(c.conn, format+"\n", a...)
	require.NoError(c.t, err)
}

func (c *terminal) read() string {
	c.t.Helper()
	require.True(c.t, c.input.Scan(), "the connection has ended: %v", c.input.Err())
	return c.input.Text()
}

// ask writes one line and returns the next.
func (c *terminal) ask(format string, a ...any) string {
	c.t.Helper()
	c.write(format, a...)
	return c.read()
}

// token opens a session.
func (c *terminal) token(name string) string {
	c.t.Helper()
	var token string
	var epoch int
	_, err := fmt.Sscanf(c.ask("open %s", name), "welcome %s %d", &token, &epoch)
	require.NoError(c.t, err)
	return token
}

func TestBadInputGetsAnHonestAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	c := w.dial(0)
	for ask, want := range map[string]string{
		"say 1 red hello":             "refused say open or resume comes first",
		"join red now":                "refused join open or resume comes first",
		"open":                        "refused open open NAME",
		"open a/b":                    "refused open a client opens one session, with a name",
		"resume x 1 ada":              "refused resume session: unknown token",
		"resume x -1 ada":             "refused resume resume TOKEN EPOCH NAME",
		"":                            "refused  open or resume comes first",
		"what":                        "refused what open or resume comes first",
		"open \x1b[2J":                "refused line a line is text without control characters",
		"open " + string([]byte{255}): "refused line a line is text",
		"ping":                        "pong",
	} {
		assert.Contains(t, c.ask("%s", ask), want, "%q", ask)
	}
	token := c.token("ada")
	for ask, want := range map[string]string{
		"open bob":                 "refused open a client opens one session",
		"say 1 red hello":          "refused say 1 it is not in this room",
		"say x red hello":          "refused say commands are",
		"say 0 red hello":          "refused say 0",
		"who red":                  "refused who it is not in this room",
		"join a.b now":             "refused join a room has a name",
		"join > 0":                 "refused join a room has a name",
		"join red soon":            "refused join the sequence is a number, or now",
		"join red 99999999":        "refused join a sequence from the future",
		"resume " + token + " 1 a": "refused resume resume TOKEN EPOCH NAME, once",
	} {
		assert.Contains(t, c.ask("%s", ask), want, "%q", ask)
	}
	assert.Equal(t, "joined red 0", c.ask("join red 0"))
	assert.Contains(t, c.ask("join red 0"), "refused join")
	assert.Equal(t, "refused say 2 session: a message is missing before this one", c.ask("say 2 red hello"))
	c.write("say 1 red hello")
	assert.ElementsMatch(t, []string{"stored 1", "line red 1 ada hello"}, []string{c.read(), c.read()})
	assert.Equal(t, "stored 1", c.ask("say 1 red another"), "it was said before")

	// The other gateway takes the session over; the first connection is fenced.
	other := w.dial(1)
	assert.Equal(t, "refused resume session: a number from the future", other.ask("resume %s 7 ada", token))
	assert.Equal(t, "resumed 2 1", other.ask("resume %s 1 ada", token))
	other.write("join red 0")
	assert.Equal(t, []string{"joined red 0", "line red 1 ada hello"}, []string{other.read(), other.read()})
	other.write("say 2 red again")
	assert.ElementsMatch(t, []string{"stored 2", "line red 2 ada again"}, []string{other.read(), other.read()})
	assert.Equal(t, "line red 2 ada again", c.read(), "a member of the room still")
	assert.Equal(t, "refused say 2 another connection of the session has said something else by this number", c.ask("say 2 red mine"))
	assert.Equal(t, "refused session another connection has it now, or it has ended", c.ask("say 2 red again"))
	assert.False(t, c.input.Scan(), "the connection is closed")
	assert.Contains(t, w.dial(0).ask("resume %s 1 ada", token), "refused resume session: the epoch has passed")
}

// A gateway is killed when it has stored a line, and not yet counted it in the session. The client
// says the line again, at another gateway.
func TestALineThatWasStoredAndNotCountedIsStoredOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	c := w.dial(0)
	token := c.token("ada")
	require.Equal(t, "joined red 0", c.ask("join red 0"))
	c.write("say 1 red one")
	require.ElementsMatch(t, []string{"stored 1", "line red 1 ada one"}, []string{c.read(), c.read()})
	secret, err := base64.RawURLEncoding.DecodeString(token)
	require.NoError(t, err)
	id := base64.RawURLEncoding.EncodeToString(secret[:16]) // as package session makes tokens
	at, err := w.gateways[0].lines.tail(t.Context(), "red", id)
	require.NoError(t, err)
	require.Equal(t, tail{1, 1, "one"}, at)
	_, err = w.gateways[0].lines.say(t.Context(), "red", id, "ada", 2, "two", at)
	require.NoError(t, err)
	require.Equal(t, "line red 2 ada two", c.read())
	_ = c.conn.Close()

	c = w.dial(1)
	assert.Equal(t, "resumed 2 1", c.ask("resume %s 1 ada", token))
	assert.Equal(t, "joined red 2", c.ask("join red 2"))
	assert.Equal(t, "stored 2", c.ask("say 2 red two"))
	c.write("say 3 red three")
	assert.ElementsMatch(t, []string{"stored 3", "line red 3 ada three"}, []string{c.read(), c.read()})
	// The old gateway knows of the line before that only, and has the same line to say.
	at, err = w.gateways[0].lines.say(t.Context(), "red", id, "ada", 3, "three", tail{2, 2, "two"})
	require.NoError(t, err)
	assert.Equal(t, tail{3, 3, "three"}, at)
	assert.Equal(t, "pong", c.ask("ping"), "it is stored once")
}

// Two connections have the token of one session. What one of them is told to be stored is stored,
// and the line of the other is not taken for it.
func TestACopiedTokenLosesNoLineThatWasAcknowledged(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	for _, at := range []int{0, 1} { // the gateway of the second connection
		room := fmt.Sprintf("room%d", at)
		first, witness := w.dial(0), w.dial(1)
		token := first.token("ada")
		witness.token("bob")
		for _, c := range []*terminal{first, witness} {
			require.Contains(t, c.ask("join %s now", room), "joined")
		}
		second := w.dial(at)
		require.Equal(t, "resumed 2 0", second.ask("resume %s 1 ada", token))
		require.Contains(t, second.ask("join %s now", room), "joined")
		if at == 0 {
			assert.Equal(t, "refused session another connection has it now, or it has ended", first.read(), "at once")
			assert.False(t, first.input.Scan())
			second.write("say 1 %s new", room)
			assert.Contains(t, witness.read(), "ada new", "nothing of the first came before")
			continue
		}
		// The first gateway does not know yet, and stores the line, which it does not acknowledge.
		first.write("say 1 %s old", room)
		for text := ""; text != "refused session another connection has it now, or it has ended"; text = first.read() {
			require.NotEqual(t, "stored 1", text)
		}
		assert.Contains(t, second.read(), "ada old")
		assert.Equal(t, "refused say 1 another connection of the session has said something else by this number", second.ask("say 1 %s new", room))
		assert.Equal(t, "stored 1", second.ask("say 1 %s old", room))
		assert.Contains(t, witness.read(), "ada old")
		second.write("say 2 %s new", room)
		assert.Contains(t, witness.read(), "ada new")
	}
}

// Members of one room at two gateways see each other, until a gateway ends.
func TestPresence(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	ada, bob := w.dial(0), w.dial(1)
	ada.token("ada")
	bob.token("bob")
	for _, c := range []*terminal{ada, bob} {
		assert.Contains(t, c.ask("join red now"), "joined red")
	}
	sees := func(c *terminal, want string) {
		eventually(t, want, func() bool { return c.ask("who red") == "members red "+want })
	}
	sees(ada, "ada bob")
	sees(bob, "ada bob")
	w.gateways[0].close()
	w.gateways = w.gateways[1:]
	sees(bob, "bob")
}

// A member that was away for longer than a gateway remembers gets its lines from the store.
func TestHistory(t *testing.T) {
	t.Parallel()
	const said = 2*recentLines + recentLines/2
	w := newWorld(t, 2)
	ada := w.dial(0)
	ada.token("ada")
	assert.Equal(t, "joined red 0", ada.ask("join red 0"))
	go func() {
		for n := 1; n <= said; n++ {
			_, _ = fmt.Fprintf(ada.conn, "say %d red %d\n", n, n)
		}
	}()
	for stored, heard := 0, 0; stored < said || heard < said; {
		switch text := ada.read(); {
		case text == fmt.Sprintf("stored %d", stored+1):
			stored++
		case text == fmt.Sprintf("line red %d ada %d", heard+1, heard+1):
			heard++
		default:
			require.FailNow(t, "out of order", text)
		}
	}
	for gateway, after := range map[int][]int{0: {0, 10, said - 5, said}, 1: {said - 5, 0, said}} {
		for i, has := range after {
			c := w.dial(gateway)
			c.token(fmt.Sprintf("c%d", i))
			assert.Equal(t, fmt.Sprintf("joined red %d", has), c.ask("join red %d", has))
			for n := has + 1; n <= said; n++ {
				require.Equal(t, fmt.Sprintf("line red %d ada %d", n, n), c.read())
			}
			assert.Equal(t, "pong", c.ask("ping"), "and no more")
		}
	}
}

// A session that does not change expires, as its gateway may have been killed. A ping keeps it.
func TestAPingKeepsASession(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, 1, time.Second)
	quiet, other := w.dial(0), w.dial(0)
	quiet.token("quiet")
	require.Equal(t, "joined red 0", quiet.ask("join red 0"))
	token := other.token("other")
	eventually(t, "the other session expires", func() bool {
		require.Equal(t, "pong", quiet.ask("ping"))
		answer := w.dial(0).ask("resume %s 9 other", token) // from the future, as long as it is there
		return answer == "refused resume session: unknown token"
	})
	quiet.write("say 1 red hello")
	assert.ElementsMatch(t, []string{"stored 1", "line red 1 quiet hello"}, []string{quiet.read(), quiet.read()})
}

func TestTheShow(t *testing.T) {
	t.Parallel()
	var output strings.Builder
	require.NoError(t, run(t.Context(), nil, nil, &output, os.Stderr))
	assert.Contains(t, output.String(), "lost: 0, twice: 0")
}

func TestTheTerminalsClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	read, write := io.Pipe()
	go func() {
		_, _ = io.WriteString(write, "hello\nonce more\n")
		_ = write.Close()
	}()
	var output strings.Builder
	require.NoError(t, run(t.Context(), []string{"client", "-name", "ada", "-gateways", w.gateways[0].name}, read, &output, os.Stderr))
	assert.Contains(t, output.String(), "* at "+w.gateways[0].name)

	for want, args := range map[string][]string{
		`cluster: "x" is none of show, node, gateway, client`:   {"x"},
		`cluster: unexpected argument "y"`:                      {"node", "y"},
		"cluster: a node needs -name, -dir and -addr":           {"node"},
		"cluster: flag provided but not defined: -z":            {"gateway", "-z"},
		"cluster: a client needs -gateways, and names of up to": {"client", "-name", "a b"},
	} {
		assert.ErrorContains(t, run(t.Context(), args, nil, &output, os.Stderr), want)
	}
}
