package berthtest_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/berthtest"
	"github.com/go-berth/berth/test/simnet"
)

// obeys does what the client writes, one command a line.
var obeys = berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
	for {
		line, ok := data.ReadLine()
		if !ok {
			return nil
		}
		command, text, _ := strings.Cut(string(line), " ")
		switch command {
		case "say":
			_, _ = socket.Write([]byte(strings.ReplaceAll(text, "|", "\n")))
		case "long":
			_, _ = socket.Write([]byte(strings.Repeat("x", 5000) + "y"))
		case "close":
			_ = socket.Close()
		case "close-write":
			socket.CloseWrite()
		case "abort":
			socket.Abort()
		case "fail":
			return errors.New(text)
		case "panic":
			panic(text)
		}
	}
})

func TestExpectationsHold(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		server := berthtest.Serve(t, obeys, options...)
		client := server.Dial()
		client.Send("say hello\n")
		client.Expect("hel")
		client.Expect("")
		client.Expect("lo")
		client.Send("say one|two\r|three|rest\n")
		client.ExpectLine("one")
		client.ExpectLine("two")
		assert.Equal(t, "three", client.ReadLine())
		assert.Equal(t, "re", client.Read(2))
		client.Send("close\n")
		assert.Equal(t, "st", client.ReadAll())
		client.ExpectEOF()
		assert.Equal(t, berth.ReasonLocalClosed, client.ExpectClosed())

		reset := server.Dial()
		reset.Send("abort\n")
		reset.ExpectReset()
		assert.Equal(t, berth.ReasonLocalAborted, reset.ExpectClosed())

		half := server.Dial()
		half.CloseWrite()
		assert.Equal(t, berth.ReasonPeerClosed, half.ExpectClosed())

		gone := server.Dial()
		gone.Send("say hi\n")
		gone.Expect("hi")
		gone.Reset()
		gone.Close()
	})
}

func TestNothingIsExpectedForATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := berthtest.Serve(t, obeys).Dial()
		began := time.Now()
		client.ExpectNothing(time.Hour)
		assert.Equal(t, time.Hour, time.Since(began))
		client.Send("say hello\n")
		client.Expect("hello")
	})
}

// Each sentence says what came instead, and why the server ended the connection.
func TestAFailureSaysWhatCameInstead(t *testing.T) {
	for name, c := range map[string]struct {
		send   string
		expect func(c *berthtest.Client)
		says   string
	}{
		"other bytes": {
			"say help\n", func(c *berthtest.Client) { c.Expect("hello") },
			`expected "hello", but "help" came: byte 3 differs`,
		},
		"other bytes, late in many": {
			"long\n", func(c *berthtest.Client) { c.Expect(strings.Repeat("x", 5001)) },
			`expected 5001 bytes, and byte 5000 differs: after "` + strings.Repeat("x", 50) + `" expected "x", but "y" came`,
		},
		"fewer bytes, and FIN": {
			"say hel\nclose\n", func(c *berthtest.Client) { c.Expect("hello") },
			`expected "hello", but "hel" came, and then the server closed (closed)`,
		},
		"fewer bytes": {
			"say hel\n", func(c *berthtest.Client) { c.Expect("hello") },
			`expected "hello", but "hel" came, and the connection stayed open`,
		},
		"nothing": {
			"", func(c *berthtest.Client) { c.Expect("hello") },
			`expected "hello", but nothing came, and the connection stayed open`,
		},
		"a reset": {
			"abort\n", func(c *berthtest.Client) { c.Expect("hello") },
			`expected "hello", but nothing came, and then the server reset the connection (aborted: berth: connection aborted)`,
		},
		"another line": {
			"say help|\n", func(c *berthtest.Client) { c.ExpectLine("hello") },
			`expected the line "hello", but the line "help" came`,
		},
		"a line without end": {
			"say help\n", func(c *berthtest.Client) { c.ExpectLine("help") },
			`expected the line "help", but "help" came, and the connection stayed open`,
		},
		"no line": {
			"close\n", func(c *berthtest.Client) { c.ReadLine() },
			`expected a line, but nothing came, and then the server closed (closed)`,
		},
		"too few": {
			"say help\n", func(c *berthtest.Client) { c.Read(5) },
			`expected 5 bytes, but "help" came, and the connection stayed open`,
		},
		"no end of all": {
			"say help\n", func(c *berthtest.Client) { c.ReadAll() },
			`expected everything until the server closes, but "help" came, and the connection stayed open`,
		},
		"bytes before FIN": {
			"say more\nclose\n", func(c *berthtest.Client) { c.ExpectEOF() },
			`expected that the server closes, but "more" came`,
		},
		"a reset for FIN": {
			"abort\n", func(c *berthtest.Client) { c.ExpectEOF() },
			`expected that the server closes, but nothing came, and then the server reset the connection (aborted: berth: connection aborted)`,
		},
		"no FIN": {
			"", func(c *berthtest.Client) { c.ExpectEOF() },
			`expected that the server closes, but nothing came, and the connection stayed open`,
		},
		"FIN for a reset": {
			"close\n", func(c *berthtest.Client) { c.ExpectReset() },
			`expected that the server resets the connection, but nothing came, and then the server closed (closed)`,
		},
		"no end": {
			"", func(c *berthtest.Client) { c.ExpectClosed() },
			`expected that the server ends the connection, but nothing came, and the connection stayed open`,
		},
		"half an end": {
			"close-write\n", func(c *berthtest.Client) { c.ExpectClosed() },
			`expected that the server ends the connection, but it has only closed its own direction`,
		},
		"something": {
			"say boo\n", func(c *berthtest.Client) { c.ExpectNothing(time.Minute) },
			`expected nothing for 1m0s, but "boo" came`,
		},
		"FIN for nothing": {
			"close\n", func(c *berthtest.Client) { c.ExpectNothing(time.Minute) },
			`expected nothing for 1m0s, but nothing came, and then the server closed (closed)`,
		},
		"after its own close": {
			"", func(c *berthtest.Client) { c.Close(); c.ExpectEOF() },
			`expected that the server closes, but nothing came, and then this client closed`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var options berth.Options
				options.Connection.HalfCloseTimeout = -1
				assert.Equal(t, c.says, fails(t, func(t testing.TB) {
					server := berthtest.Serve(t, obeys, berthtest.With(options), berthtest.Patience(time.Minute))
					client := server.Dial()
					client.Send(c.send)
					synctest.Wait()
					c.expect(client)
				}))
			})
		})
	}
}

func TestSendSaysThatTheServerDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := fails(t, func(t testing.TB) {
			never := berth.HandlerFunc(func(socket berth.Socket, _ *berth.Buffer) error {
				socket.Pause()
				return nil
			})
			berthtest.Serve(t, never, berthtest.Patience(time.Minute)).Dial().Send(strings.Repeat("x", 1<<20))
		})
		assert.Regexp(t, `^client:1 could send only \d+ of 1048576 bytes: the server did not read within 1m0s$`, says)
	})
}

func TestSendSaysThatTheServerHasClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		assert.Equal(t,
			`client:1 cannot send "hello": write sim client:1->sim:1: write: connection reset by peer (aborted: berth: connection aborted)`,
			fails(t, func(t testing.TB) {
				client := berthtest.Serve(t, obeys).Dial()
				client.Send("abort\n")
				synctest.Wait()
				client.Send("hello")
			}))
	})
}

func TestCloseWriteSaysWhatIsWrong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		assert.Regexp(t, `^client:1 cannot close for writing: .*use of closed network connection \(peer closed\)$`,
			fails(t, func(t testing.TB) {
				client := berthtest.Serve(t, obeys).Dial()
				client.Close()
				client.CloseWrite()
			}))
	})
	one, two := net.Pipe()
	defer func() { _ = two.Close() }()
	assert.Equal(t, "CloseWrite: a *net.pipe cannot be closed for writing alone",
		fails(t, func(t testing.TB) { berthtest.NewClient(t, one).CloseWrite() }))
	assert.Equal(t, "Reset: a *net.pipe cannot be reset",
		fails(t, func(t testing.TB) { berthtest.NewClient(t, one).Reset() }))
}

func TestAClientOfAConnectionOfTheTestsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := simnet.Pipe(simnet.Options{})
		client := berthtest.NewClient(t, near)
		_, err := far.Write([]byte("hello\n"))
		require.NoError(t, err)
		client.ExpectLine("hello")
		require.NoError(t, far.Close())
		assert.Equal(t, berth.ReasonNone, client.ExpectClosed())
	})
}

func TestDialSaysThatNothingListens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		assert.Regexp(t, "^a client cannot connect: .*connection refused$", fails(t, func(t testing.TB) {
			server := berthtest.Serve(t, obeys)
			require.NoError(t, server.Close())
			server.Dial()
		}))
	})
}
