package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
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
	"github.com/go-berth/berth/examples/internal/program"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/test/berthtest"
	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	members = flag.Int("members", largeRoom, "members of the room")
	silent  = flag.Int("silent", 10, "of those, how many do not read")
)

func serve(t testing.TB, slow berth.SlowPolicy) (*berthtest.Server, *hall) {
	h := newHall()
	return berthtest.Serve(t, h.handlers(), berthtest.With(options(slow, 16<<10, time.Hour))), h
}

// enter connects a client that has taken a name and read up to that.
func enter(server *berthtest.Server, name string) *berthtest.Client {
	client := server.Dial()
	client.Send("/nick " + name + "\n")
	for !strings.HasSuffix(client.ReadLine(), "is now "+name) {
	}
	return client
}

func TestConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, h := serve(t, berth.SlowClose)
		ada := server.Dial()
		ada.Expect("* welcome, guest1\n* guest1 is in lobby\n")
		ada.Send("/nick ada\r\nhel")
		ada.Expect("* guest1 is now ada\n")
		bob := server.Dial()
		bob.Expect("* welcome, guest2\n* guest2 is in lobby\n")
		ada.Expect("* guest2 is in lobby\n")
		bob.Send("/nick ada\n/nick\n/nick a b\n/nick bob\n/nick bob\n")
		bob.Expect("! ada is taken\n! a name has up to 20 letters and digits: /nick NAME\n" +
			"! a name has up to 20 letters and digits: /nick NAME\n* guest2 is now bob\n")
		ada.Expect("* guest2 is now bob\n")
		ada.Send("lo\n\n")
		for _, client := range []*berthtest.Client{ada, bob} {
			client.Expect("ada: hello\n")
		}
		bob.Send("/who\n/msg ada a secret\n/msg eve hi\n/msg ada\n/nonsense\n\x1b[31m\n")
		ada.Expect("bob tells you: a secret\n")
		bob.Expect("* in lobby: ada bob\nyou tell ada: a secret\n! there is no eve\n! a message needs a name and a text: /msg NAME TEXT\n" +
			"! commands are /nick, /join, /who, /msg and /quit\n! a line is text without control characters\n")

		bob.Send("/join\n/join go\n/join go\nanybody?\n")
		bob.Expect("! a room has a name of up to 20 letters and digits: /join ROOM\n* bob is in go\n! you are in go\nbob: anybody?\n")
		ada.Expect("* bob has left\n")
		ada.Send("/join go\n/who\n")
		ada.Expect("* ada is in go\n* in go: ada bob\n")
		bob.Expect("* ada is in go\n")
		ada.Send("/quit\nnot said\n")
		ada.ExpectEOF()
		bob.Expect("* ada has left\n")
		bob.Reset()
		ada.Close()
		synctest.Wait()
		time.Sleep(10 * time.Second)
		assert.Empty(t, h.names)
		assert.Empty(t, h.rooms, "a room ends with its last member")
	})
}

func TestALineThatIsTooLong(t *testing.T) {
	server, _ := serve(t, berth.SlowClose)
	client := enter(server, "ada")
	client.Send(strings.Repeat("a", longestLine+1))
	client.Expect("! a line has at most 1024 bytes\n")
	require.ErrorIs(t, server.ExpectFailure(), frame.ErrTooLong)
	require.Equal(t, berth.ReasonHandlerError, client.ExpectClosed())
}

// latencies are how long after it was said a line came to a member.
type latencies []time.Duration

func (l latencies) quantile(q float64) time.Duration {
	slices.Sort(l)
	return l[int(q*float64(len(l)-1))]
}

// crowd is a room of members, some of which do not read. One of the others says lines, and all that
// read note how long each line of 1,000 bytes took.
func crowd(t testing.TB, dial func() net.Conn, members, silent, said int, settle func(), pause time.Duration) latencies {
	var all latencies
	var mu sync.Mutex
	var readers sync.WaitGroup
	conns := make([]net.Conn, members)
	for i := range conns {
		conns[i] = dial()
	}
	speaker := conns[members-1]
	_, err := io.WriteString(speaker, "/nick speaker\n")
	require.NoError(t, err)
	settle()
	began := time.Now()
	for _, conn := range conns[silent:] {
		readers.Go(func() {
			lines := bufio.NewScanner(conn)
			mine := make(latencies, 0, said)
			for len(mine) < said && lines.Scan() {
				if text, found := strings.CutPrefix(lines.Text(), "speaker: "); found {
					at, _, _ := strings.Cut(text, " ")
					n, err := strconv.ParseInt(at, 10, 64)
					assert.NoError(t, err)
					mine = append(mine, time.Since(began)-time.Duration(n))
				}
			}
			assert.Len(t, mine, said, "a member that reads has missed lines: %v", lines.Err())
			mu.Lock()
			defer mu.Unlock()
			all = append(all, mine...)
		})
	}
	for range said {
		_, err := fmt.Fprintf(speaker, "%d %s\n", time.Since(began), strings.Repeat("x", 1000))
		require.NoError(t, err)
		time.Sleep(pause)
	}
	readers.Wait()
	return all
}

// In a room of 1,000, ten of which do not read, the others wait no longer than without the ten. The
// ten are closed, or miss lines, and hold no more than they may.
func TestARoomWithSilentMembers(t *testing.T) {
	const queue = 16 << 10
	run := func(t *testing.T, slow berth.SlowPolicy, silent int, check func(t *testing.T, server *berthtest.Server, h *hall)) (all latencies) {
		synctest.Test(t, func(t *testing.T) {
			h := newHall()
			server := berthtest.Serve(t, h.handlers(), berthtest.With(options(slow, queue, time.Hour)),
				berthtest.Network(simnet.Options{Latency: time.Millisecond, BufferSize: 16 << 10}))
			dial := func() net.Conn { return server.Dial().Conn() }
			all = crowd(t, dial, *members, silent, 40, synctest.Wait, 10*time.Millisecond)
			time.Sleep(6 * time.Second) // CloseTimeout
			check(t, server, h)
		})
		return all
	}
	without := run(t, berth.SlowClose, 0, func(t *testing.T, server *berthtest.Server, _ *hall) {
		assert.Equal(t, *members, server.Info().Open)
	})
	for name, c := range map[string]struct {
		slow  berth.SlowPolicy
		check func(t *testing.T, server *berthtest.Server, h *hall)
	}{
		"close": {berth.SlowClose, func(t *testing.T, server *berthtest.Server, h *hall) {
			assert.EqualValues(t, *silent, server.Info().Ended[berth.ReasonSlowConsumer])
			assert.Equal(t, *members-*silent, server.Info().Open)
			assert.Equal(t, *members-*silent, h.rooms["lobby"].Len())
			assert.Len(t, h.names, *members-*silent)
		}},
		"drop": {berth.SlowDropNewest, func(t *testing.T, server *berthtest.Server, _ *hall) {
			assert.Equal(t, *members, server.Info().Open)
			behind := 0
			for _, socket := range server.Connections() {
				if socket.Info().Stats.DroppedWrites > 0 {
					behind++
					assert.LessOrEqual(t, socket.Info().QueuedBytes, queue)
				}
			}
			assert.Equal(t, *silent, behind)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			all := run(t, c.slow, *silent, c.check)
			for _, q := range []float64{0.5, 0.99, 1} {
				assert.Equal(t, without.quantile(q), all.quantile(q), "quantile %v", q)
			}
		})
	}
}

// A member that missed lines is told how many once it says something.
func TestMissedLinesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, _ := serve(t, berth.SlowDropNewest)
		ada, bob := enter(server, "ada"), enter(server, "bob")
		ada.Expect("* guest2 is in lobby\n* guest2 is now bob\n")
		line := strings.Repeat("x", 1000)
		for range 200 {
			bob.Send(line + "\n")
			bob.Expect("bob: " + line + "\n")
		}
		ada.Send("/who\n")
		lines, missed := 0, 0
		for missed == 0 {
			got := ada.ReadLine()
			if text, found := strings.CutPrefix(got, "* you missed "); found {
				missed, _ = strconv.Atoi(strings.TrimSuffix(text, " lines"))
				continue
			}
			require.Equal(t, "bob: "+line, got)
			lines++
		}
		assert.Equal(t, 200, lines+missed)
		ada.ExpectLine("* in lobby: ada bob")
	})
}

func TestTheProgram(t *testing.T) {
	path := program.Build(t, ".")
	p := program.Start(t, path, "-addr", "127.0.0.1:0", "-slow", "drop")
	conn := program.DialTCP(t, p.Addr(t))
	_, err := io.WriteString(conn, "hello\n/quit\n")
	require.NoError(t, err)
	lines, err := io.ReadAll(conn)
	require.NoError(t, err)
	assert.Equal(t, "* welcome, guest1\n* guest1 is in lobby\nguest1: hello\n", string(lines))
	conn.Close()
	p.Signal(t, os.Interrupt)
	assert.Zero(t, p.Wait(t), "standard error: %q", p.Stderr())

	for want, arguments := range map[string][]string{
		`chat: unexpected argument "now"`:                                   {"now"},
		"chat: -behind 10 is less than four lines of 1024 bytes":            {"-behind", "10"},
		`chat: invalid value "x" for flag -slow: it is none of close, drop`: {"-slow", "x"},
	} {
		p := program.Start(t, path, arguments...)
		assert.Equal(t, 1, p.Wait(t))
		assert.Equal(t, []string{want}, p.Stderr())
	}
}

// BenchmarkRoom is the same room over the kernel's loopback: the time from a line's being said to
// its coming to a member.
func BenchmarkRoom(b *testing.B) {
	for _, silent := range []int{0, *silent} {
		b.Run(fmt.Sprintf("%d of %d silent", silent, *members), func(b *testing.B) {
			for range b.N {
				h := newHall()
				server, err := berth.Listen("127.0.0.1:0", h.handlers(), options(berth.SlowClose, 16<<10, time.Hour))
				require.NoError(b, err)
				var conns []net.Conn
				dial := func() net.Conn {
					conn, err := (&net.Dialer{}).DialContext(b.Context(), "tcp", server.Addr().String())
					require.NoError(b, err)
					require.NoError(b, conn.(*net.TCPConn).SetReadBuffer(4<<10)) // else the kernel takes all lines for a silent member
					conns = append(conns, conn)
					return conn
				}
				settle := func() {
					for {
						h.mu.Lock()
						n, named := len(h.names), h.names["speaker"] != nil
						h.mu.Unlock()
						if n == *members && named {
							return
						}
						time.Sleep(time.Millisecond)
					}
				}
				all := crowd(b, dial, *members, silent, 200, settle, 30*time.Millisecond)
				b.ReportMetric(float64(server.Info().Ended[berth.ReasonSlowConsumer]), "closed")
				b.ReportMetric(float64(all.quantile(0.5).Microseconds()), "us-p50")
				b.ReportMetric(float64(all.quantile(0.99).Microseconds()), "us-p99")
				for _, conn := range conns {
					_ = conn.Close()
				}
				require.NoError(b, server.Close())
			}
		})
	}
}
