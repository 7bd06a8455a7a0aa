package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/redis/resp"
	"github.com/go-berth/berth/test/berthtest"
	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// request encodes a command.
func request(args ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	return b.String()
}

// requests encodes commands, one for each line.
func requests(lines string) string {
	var b strings.Builder
	for line := range strings.Lines(lines) {
		if args := strings.Fields(line); len(args) > 0 {
			b.WriteString(request(args...))
		}
	}
	return b.String()
}

// same compares texts that are too long to be shown.
func same(t *testing.T, want, got string) {
	t.Helper()
	if want != got {
		t.Fatalf("%d bytes, beginning with %.40q, and not %d, beginning with %.40q", len(got), got, len(want), want)
	}
}

// fake is a session on the fake socket of berthtest.
type fake struct {
	*session
	socket *berthtest.Socket
	data   berthtest.Buffer
}

func newFake(t testing.TB, s *server) *fake {
	return &fake{session: &session{server: s, id: 1}, socket: berthtest.NewSocket(t)}
}

func (f *fake) feed(data string) error { return f.Data(f.socket, f.data.Feed(data)) }

// Whatever the pieces in which the requests come, the replies are the same.
func TestEverySplit(t *testing.T) {
	input := requests("SET a hello\nGET a\nMULTI\nINCR n\nGET n\nEXEC\nHELLO 3\nHSET h f v\nHGETALL h\nGET none") + "PING\r\n"
	const want = "+OK\r\n$5\r\nhello\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n$1\r\n1\r\n" +
		"%7\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n$2\r\nid\r\n:1\r\n" +
		"$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n" +
		":1\r\n%1\r\n$1\r\nf\r\n$1\r\nv\r\n_\r\n+PONG\r\n"
	berthtest.Splits(t, input, func(chunks []string) {
		f := newFake(t, newServer(resp.Limits{}))
		for _, chunk := range chunks {
			require.NoError(t, f.feed(chunk))
		}
		require.Equal(t, want, f.socket.Written())
	})
}

// A pipeline is answered with one write, and a pipeline with long answers with few.
func TestAPipelineIsAnsweredAtOnce(t *testing.T) {
	f := newFake(t, newServer(resp.Limits{}))
	require.NoError(t, f.feed(strings.Repeat(request("PING"), 1000)))
	assert.Equal(t, []string{strings.Repeat("+PONG\r\n", 1000)}, f.socket.Writes())
	require.NoError(t, f.feed(""))
	assert.Len(t, f.socket.Writes(), 1, "nothing to answer, nothing written")

	f = newFake(t, newServer(resp.Limits{}))
	require.NoError(t, f.feed(request("SET", "a", strings.Repeat("x", 10_000))+strings.Repeat(request("GET", "a"), 100)))
	assert.LessOrEqual(t, len(f.socket.Writes()), 1+1_000_000/flushAt)
}

// Replies that lie in the buffer of the pool are not changed by those of another connection.
func TestAWriteKeepsItsBytes(t *testing.T) {
	s := newServer(resp.Limits{})
	one, two := newFake(t, s), newFake(t, s)
	for range 10 {
		require.NoError(t, one.feed(request("ECHO", "one")))
		require.NoError(t, two.feed(request("ECHO", strings.Repeat("t", 2*keptOut))))
	}
	assert.Equal(t, strings.Repeat("$3\r\none\r\n", 10), one.socket.Written())
	assert.Equal(t, strings.Repeat("$262144\r\n"+strings.Repeat("t", 2*keptOut)+"\r\n", 10), two.socket.Written())
}

// A client that sends a pipeline whose replies do not fit anywhere, and reads only afterwards, is
// served to the last reply. One that reads nothing is closed by WriteTimeout.
func TestBackPressure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := connectionOptions(256<<10, time.Hour)
		server := berthtest.Serve(t, newServer(resp.Limits{}).handlers(), berthtest.With(berth.Options{Connection: options}))
		client := server.Dial()
		value := strings.Repeat("v", 10_000)
		client.Send(request("SET", "a", value))
		client.Expect("+OK\r\n")

		const gets = 300 // 3 MB of replies
		sent := make(chan error, 1)
		go func() {
			_, err := io.WriteString(client.Conn(), strings.Repeat(request("GET", "a"), gets))
			sent <- err
		}()
		synctest.Wait() // everything waits for the client
		time.Sleep(20 * time.Second)
		want := "$10000\r\n" + value + "\r\n"
		for i := range gets {
			if got := client.Read(len(want)); got != want {
				t.Fatalf("reply %d is %.30q", i, got)
			}
			if i == 100 {
				time.Sleep(20 * time.Second) // it takes its time, within WriteTimeout
			}
		}
		require.NoError(t, <-sent)
		client.Send(request("PING"))
		client.Expect("+PONG\r\n")

		for range 20 {
			if _, err := io.WriteString(client.Conn(), strings.Repeat(request("GET", "a"), 10)); err != nil {
				break
			}
		}
		time.Sleep(time.Minute)
		assert.EqualValues(t, 1, server.Info().Ended[berth.ReasonWriteTimeout])
	})
}

// A pipeline whose replies fit into what may wait is read to its end although no reply is taken.
func TestAPipelineIsReadWhileRepliesWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		options := connectionOptions(2<<20, time.Hour)
		server := berthtest.Serve(t, newServer(resp.Limits{}).handlers(), berthtest.With(berth.Options{Connection: options}))
		client := server.Dial()
		const commands = 30_000
		client.Send(strings.Repeat(request("ECHO", "0123456789012345678901234567890123456789"), commands))
		client.Send(request("QUIT"))
		want := strings.Repeat("$40\r\n0123456789012345678901234567890123456789\r\n", commands) + "+OK\r\n"
		same(t, want, client.ReadAll())
	})
}

func TestAProtocolErrorIsAnsweredAndCloses(t *testing.T) {
	for stream, reply := range map[string]string{
		"*1\r\n$4\r\nPING\r\n*2147483648\r\n":           "+PONG\r\n-ERR Protocol error: invalid multibulk length\r\n",
		"*1\r\n$101\r\n":                                "-ERR Protocol error: invalid bulk length\r\n",
		"*1\r\n\rPING":                                  "-ERR Protocol error: expected '$', got ' '\r\n",
		"\x16\x03\x01" + strings.Repeat("\x00", 70_000): "-ERR Protocol error: too big inline request\r\n",
	} {
		server := berthtest.Serve(t, newServer(resp.Limits{Bulk: 100}).handlers())
		client := server.Dial()
		_, _ = io.WriteString(client.Conn(), stream) // the server may close first
		client.Expect(reply)
		var protocol *resp.ProtocolError
		require.ErrorAs(t, server.ExpectFailure(), &protocol)
		require.Equal(t, berth.ReasonHandlerError, client.ExpectClosed())
		require.NoError(t, server.Close())
	}
}

func TestHTTPIsNotAnswered(t *testing.T) {
	server := berthtest.Serve(t, newServer(resp.Limits{}).handlers())
	client := server.Dial()
	client.Send("POST / HTTP/1.1\r\nHost: localhost\r\n\r\nFLUSHALL\r\n")
	require.ErrorIs(t, server.ExpectFailure(), errHTTP)
	require.Empty(t, client.ReadAll())
}

func TestQuitEndsThePipeline(t *testing.T) {
	server := berthtest.Serve(t, newServer(resp.Limits{}).handlers())
	client := server.Dial()
	client.Send("PING\r\nQUIT\r\nPING\r\n")
	require.Equal(t, "+PONG\r\n+OK\r\n", client.ReadAll())
	require.Equal(t, berth.ReasonLocalClosed, client.ExpectClosed())
}

// A key is gone at its moment, also one that no command asks for.
func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(resp.Limits{})
		f := newFake(t, s)
		ask := func(line, want string) {
			t.Helper()
			before := len(f.socket.Writes())
			require.NoError(t, f.feed(requests(line)))
			require.Equal(t, want, strings.Join(f.socket.Writes()[before:], ""), line)
		}
		ask("SET a 1 EX 10", "+OK\r\n")
		ask("SET b 1 PX 1500", "+OK\r\n")
		ask("MSET c 1 d 1", "+OK\r\n")
		ask("EXPIRE c 5", ":1\r\n")
		time.Sleep(1499 * time.Millisecond)
		ask("EXISTS b", ":1\r\n")
		time.Sleep(time.Millisecond)
		ask("EXISTS b", ":0\r\n")
		ask("TTL a", ":9\r\n") // 8.5 s, rounded as Redis does
		ask("EXPIRE a 100", ":1\r\n")
		time.Sleep(98*time.Second + 500*time.Millisecond)
		ask("PING", "+PONG\r\n")
		require.Len(t, s.store.entries, 3, "no command on keys has come since")
		ask("EXISTS d", ":1\r\n")
		require.Len(t, s.store.entries, 2, "c was dropped by a command on another key")
		ask("TTL a", ":2\r\n")
		ask("SET a 2", "+OK\r\n")
		time.Sleep(time.Hour)
		ask("GET a", "$1\r\n2\r\n")
		require.Empty(t, s.store.deadlines)
	})
}

// The deadlines stay a heap of exactly the entries that have one, whatever comes.
func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(resp.Limits{})
		f := newFake(t, s)
		for i := range 1500 {
			key := strconv.Itoa(i * 7919 % 101)
			line := []string{"SET k" + key + " v PX " + strconv.Itoa(1+i*31%997), "SET k" + key + " v", "DEL k" + key,
				"EXPIRE k" + key + " 1", "MSET k" + key + " w"}[i*i%5]
			require.NoError(t, f.feed(requests(line)))
			time.Sleep(time.Duration(i%3) * time.Millisecond)
			with := 0
			for _, e := range s.store.entries {
				if e.deadline != 0 {
					with++
					require.Same(t, e, s.store.deadlines[e.place])
				}
			}
			require.Len(t, s.store.deadlines, with)
			for i := range s.store.deadlines {
				require.False(t, i > 0 && s.store.deadlines.Less(i, (i-1)/2))
			}
		}
	})
}

// No client sees a transaction half done: one that asks in the middle of it gets its answer behind
// the end.
func TestATransactionIsAtomic(t *testing.T) {
	s := newServer(resp.Limits{})
	one, two := newFake(t, s), newFake(t, s)
	var asking sync.WaitGroup
	first := false
	commands["middle"] = &command{name: "middle", arity: 1, run: func(*session, [][]byte) {
		if first = !first; first {
			asking.Go(func() { assert.NoError(t, two.feed(requests("MGET a b"))) })
		}
		time.Sleep(3 * time.Millisecond) // a mutex that is given back for a moment goes to one that has waited for 1 ms
	}}
	defer delete(commands, "middle")
	for i := range 10 {
		require.NoError(t, one.feed(requests("MULTI\nINCR a\nMIDDLE\nMIDDLE\nINCR b\nEXEC")))
		asking.Wait()
		require.Equal(t, strings.Repeat(fmt.Sprintf("$%d\r\n%d\r\n", len(strconv.Itoa(i+1)), i+1), 2),
			strings.TrimPrefix(two.socket.Writes()[i], "*2\r\n"))
	}
}

// A transaction holds copies of its arguments, and no more of them than it may.
func TestATransactionKeepsItsArguments(t *testing.T) {
	f := newFake(t, newServer(resp.Limits{}))
	require.NoError(t, f.feed(requests("MULTI\nSET a first")))
	require.NoError(t, f.feed(requests("SET b second\nGET a\nEXEC")))
	assert.Equal(t, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n+OK\r\n$5\r\nfirst\r\n", f.socket.Written())

	f = newFake(t, newServer(resp.Limits{}))
	require.NoError(t, f.feed(requests("MULTI")))
	value := strings.Repeat("x", 16<<20)
	for range 5 {
		require.NoError(t, f.feed(request("SET", "a", value)))
	}
	require.NoError(t, f.feed(request("EXEC")))
	assert.Contains(t, f.socket.Written(), "-ERR transaction too large\r\n")
	assert.True(t, strings.HasSuffix(f.socket.Written(), "-EXECABORT Transaction discarded because of previous errors.\r\n"))
}

// Values are the store's own: neither the read buffer nor another value shares their memory.
func TestValuesAreKept(t *testing.T) {
	s := newServer(resp.Limits{})
	f := newFake(t, s)
	large := strings.Repeat("L", 100_000)
	input := request("SET", "a", "small") + request("SET", "b", large) + request("LPUSH", "l", "x", large) + request("HSET", "h", "f", "v", "g", large)
	for i := 0; i < len(input); i += 1000 {
		require.NoError(t, f.feed(input[i:min(len(input), i+1000)]))
	}
	for range 3 {
		require.NoError(t, f.feed(request("SET", "other", strings.Repeat("o", 100_000))))
		require.NoError(t, f.feed(request("SET", "other", "short")))
	}
	for key, want := range map[string]string{"a": "small", "b": large, "other": "short"} {
		same(t, want, string(s.store.entries[key].text))
	}
	assert.Less(t, cap(s.store.entries["other"].text), 1000, "the memory of a long value")
	same(t, large, string(s.store.entries["l"].list[1]))
	same(t, large, string(s.store.entries["h"].hash.pairs[1].value))
}

// A subscriber gets the confirmation first, every message in order, and nothing behind the
// confirmation of its end. It may wait for ever, other clients may not.
func TestPubSub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(resp.Limits{})
		server := berthtest.Serve(t, s.handlers(), berthtest.With(berth.Options{Connection: connectionOptions(1<<20, time.Minute)}))
		two, three, publisher := server.Dial(), server.Dial(), server.Dial()
		two.Send(requests("PING\nSUBSCRIBE c\nPING"))
		two.Expect("+PONG\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n")
		three.Send("HELLO 3\r\nSUBSCRIBE c\r\nINCR n\r\n")
		for three.ReadLine() != ">3" {
		}
		three.Expect("$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n:1\r\n")
		for range 3 {
			publisher.Send(requests("PUBLISH c hi\nPUBLISH none hi"))
			publisher.Expect(":2\r\n:0\r\n")
			two.Expect("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n")
			three.Expect(">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n")
		}
		three.Send("HELLO 2\r\n")
		for three.ReadLine() != "modules" {
		}
		three.Expect("*0\r\n")
		publisher.Send(requests("MULTI\nPUBLISH c x\nINCR n\nEXEC"))
		publisher.Expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n:2\r\n")
		two.Expect("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n")
		three.Expect("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n")
		two.Send("UNSUBSCRIBE\r\nGET none\r\n")
		two.Expect("*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n$-1\r\n")

		assert.Equal(t, berth.ReasonIdleTimeout, publisher.ExpectClosed())
		assert.Equal(t, berth.ReasonIdleTimeout, two.ExpectClosed(), "it is no subscriber any more")
		time.Sleep(time.Hour)
		three.Send("PING\r\n")
		three.Expect("*2\r\n$4\r\npong\r\n$0\r\n\r\n")
		three.Close()
		synctest.Wait()
		time.Sleep(5 * time.Second)
		assert.Empty(t, s.channels.list, "a channel without subscribers is forgotten")
		assert.Zero(t, s.clients.Load())
	})
}

// A subscriber that does not read is closed once its queue is full. The others get every message,
// and the publisher does not wait.
func TestASlowSubscriberIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := berthtest.Serve(t, newServer(resp.Limits{}).handlers(),
			berthtest.With(berth.Options{Connection: connectionOptions(64<<10, time.Hour)}), berthtest.Network(simnet.Options{Latency: time.Millisecond}))
		slow, fast, publisher := server.Dial(), server.Dial(), server.Dial()
		const confirmation = "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"
		for _, client := range []*berthtest.Client{slow, fast} {
			client.Send("SUBSCRIBE c\r\n")
			client.Expect(confirmation)
		}
		began := time.Now()
		text := strings.Repeat("x", 1000)
		message := "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1000\r\n" + text + "\r\n"
		got := 2
		for range 1000 {
			publisher.Send(request("PUBLISH", "c", text))
			n, err := strconv.Atoi(publisher.ReadLine()[1:])
			require.NoError(t, err)
			require.LessOrEqual(t, n, got)
			got = n
			fast.Expect(message)
		}
		assert.Equal(t, 1, got)
		assert.Less(t, time.Since(began), 5*time.Second, "the publisher waited")
		for { // what was accepted for it comes, then the end
			if _, err := slow.Conn().Read(make([]byte, 4096)); err != nil {
				break
			}
		}
		assert.Equal(t, berth.ReasonSlowConsumer, slow.ExpectClosed())
	})
}

// The confirmation comes before every message, however the two race.
func TestAConfirmationComesFirst(t *testing.T) {
	s := newServer(resp.Limits{})
	publisher := newFake(t, s)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				_ = publisher.feed(requests("PUBLISH c m"))
			}
		}
	}()
	for range 50 {
		f := newFake(t, s)
		require.NoError(t, f.feed(requests("SUBSCRIBE c")))
		for len(f.socket.Writes()) < 2 {
			time.Sleep(time.Microsecond)
		}
		require.NoError(t, f.feed(requests("UNSUBSCRIBE c")))
		n := len(f.socket.Writes())
		assert.Equal(t, "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n", f.socket.Writes()[0])
		assert.Equal(t, "*3\r\n$11\r\nunsubscribe\r\n$1\r\nc\r\n:0\r\n", f.socket.Writes()[n-1])
		assert.Len(t, f.socket.Writes(), n, "a message came behind the end")
	}
	close(stop)
	<-stopped
}

// Messages come in the version of the protocol that the client knows of: that of a HELLO in a
// transaction begins behind the reply to EXEC.
func TestTheVersionOfMessagesChangesBehindTheReply(t *testing.T) {
	s := newServer(resp.Limits{})
	f, publisher := newFake(t, s), newFake(t, s)
	commands["middle"] = &command{name: "middle", arity: 1, run: func(session *session, _ [][]byte) {
		assert.NoError(t, publisher.feed(requests("PUBLISH c m")))
		session.out.integer(1)
	}}
	defer delete(commands, "middle")
	require.NoError(t, f.feed(requests("HELLO 3\nSUBSCRIBE c")))
	before := len(f.socket.Writes())
	require.NoError(t, f.feed(requests("MULTI\nHELLO 2\nMIDDLE\nEXEC")))
	require.NoError(t, publisher.feed(requests("PUBLISH c m")))
	writes := f.socket.Writes()[before:]
	require.Len(t, writes, 3)
	assert.Equal(t, ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n", writes[0])
	assert.True(t, strings.HasPrefix(writes[1], "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n*14\r\n$6\r\nserver\r\n"), writes[1])
	assert.True(t, strings.HasSuffix(writes[1], "\r\n:1\r\n"), writes[1])
	assert.Equal(t, "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nm\r\n", writes[2])
}

func TestACommandThatWasCutOff(t *testing.T) {
	server := berthtest.Serve(t, newServer(resp.Limits{}).handlers())
	client := server.Dial()
	client.Send("PING\r\n*2\r\n$3\r\nGE")
	client.CloseWrite()
	require.Equal(t, "+PONG\r\n", client.ReadAll())
	require.Equal(t, berth.ReasonPeerClosed, client.ExpectClosed())
}
