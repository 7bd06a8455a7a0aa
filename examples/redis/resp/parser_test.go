package resp_test

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/redis/resp"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/berthtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small are limits that a short stream reaches.
var small = resp.Limits{Bulk: 40, Arguments: 6, Inline: 30, Command: 200}

func referenceOf(l resp.Limits) reference { return reference{l.Bulk, l.Arguments, l.Inline, l.Command} }

// read feeds chunks to p, and returns the commands and the problem, if any.
func read[Bytes ~string | ~[]byte](t testing.TB, p *resp.Parser, chunks []Bytes) (commands [][]string, problem string) {
	t.Helper()
	var data berthtest.Buffer
	var owned [][][]byte
	for _, chunk := range chunks {
		b := data.Feed(string(chunk))
		for {
			command, err := p.Next(b)
			if errors.Is(err, resp.ErrIncomplete) {
				require.Zero(t, b.Len(), "bytes are left in the buffer")
				break
			}
			if err != nil {
				_, again := p.Next(b)
				require.Equal(t, err, again)
				var protocol *resp.ProtocolError
				require.ErrorAs(t, err, &protocol)
				return commands, protocol.Problem
			}
			commands = append(commands, texts(command.Args))
			var kept [][]byte
			if command.Owned {
				kept = append(kept, command.Args...)
			}
			owned = append(owned, kept)
		}
	}
	for i, args := range owned { // after the memory of every buffer was overwritten
		if args != nil {
			require.Equal(t, commands[i], texts(args), "an owned command has changed")
		}
	}
	return commands, ""
}

func texts(args [][]byte) []string {
	s := make([]string, len(args))
	for i, a := range args {
		s[i] = string(a)
	}
	return s
}

// streams are the documented forms, and what Redis refuses, in Redis' words.
var streams = []struct {
	name, stream string
	commands     [][]string
	problem      string
}{
	{"array", "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n", [][]string{{"GET", "k"}}, ""},
	{"several", "*1\r\n$4\r\nPING\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", [][]string{{"PING"}, {"ECHO", ""}}, ""},
	{"line ends within", "*2\r\n$4\r\nECHO\r\n$6\r\na\r\nb\r\n\r\n", [][]string{{"ECHO", "a\r\nb\r\n"}}, ""},
	{"inline", "PING\r\n\r\n \t\nSET  a\tb\n", [][]string{{"PING"}, {"SET", "a", "b"}}, ""},
	{"inline quotes", `SET "a b" 'c"d' "" \ x"y"` + "\r\n", [][]string{{"SET", "a b", `c"d`, "", `\`, "xy"}}, ""},
	{"inline escapes", `E "\x41\n\r\t\b\a\q\""` + "\n" + `F '\'\n\x' '\\' '` + "\n", [][]string{{"E", "A\n\r\t\b\aq\""}, {"F", `'\n\x`, `\' `}}, ""},
	{"hex that is none", `E "\x4g\xG1"` + "\n", [][]string{{"E", "x4gxG1"}}, ""},
	{"mixed", "PING\r\n*1\r\n$4\r\nPING\r\nPING\n", [][]string{{"PING"}, {"PING"}, {"PING"}}, ""},
	{"empty arrays", "*0\r\n*-1\r\n*-12\r\nPING\r\n", [][]string{{"PING"}}, ""},
	{"every argument", "*6\r\n" + strings.Repeat("$1\r\na\r\n", 6), [][]string{{"a", "a", "a", "a", "a", "a"}}, ""},
	{"longest argument", "*1\r\n$40\r\n" + strings.Repeat("a", 40) + "\r\n", [][]string{{strings.Repeat("a", 40)}}, ""},
	{"longest line", strings.Repeat("a", 30) + "\nb\n", [][]string{{strings.Repeat("a", 30)}, {"b"}}, ""},
	{"begun", "*2\r\n$3\r\nGET\r\n$10\r\nabc", nil, ""},

	{"no number", "*x\r\n", nil, "invalid multibulk length"},
	{"no CR", "*1\n$4\r\nPING\r\n", nil, "invalid multibulk length"},
	{"leading zero", "*01\r\n", nil, "invalid multibulk length"},
	{"plus sign", "*+1\r\n", nil, "invalid multibulk length"},
	{"no count", "*\r\n", nil, "invalid multibulk length"},
	{"2^31", "PING\n*2147483648\r\n", [][]string{{"PING"}}, "invalid multibulk length"},
	{"2^64", "*18446744073709551616\r\n", nil, "invalid multibulk length"},
	{"too many arguments", "*7\r\n", nil, "invalid multibulk length"},
	{"no dollar", "*1\r\nPING\r\n", nil, "expected '$', got 'P'"},
	{"a line end for a dollar", "*1\r\n\r\n", nil, "expected '$', got ' '"},
	{"negative size", "*1\r\n$-1\r\n", nil, "invalid bulk length"},
	{"size without a number", "*1\r\n$ 1\r\n", nil, "invalid bulk length"},
	{"too long an argument", "*1\r\n$41\r\n", nil, "invalid bulk length"},
	{"size beyond 64 bits", "*1\r\n$99999999999999999999\r\n", nil, "invalid bulk length"},
	{"wrong size", "*1\r\n$3\r\nPING\r\n", nil, "invalid bulk length"},
	{"wrong line end", "*1\r\n$4\r\nPING\rX", nil, "invalid bulk length"},
	{"too much together", "*6\r\n" + strings.Repeat("$40\r\n"+strings.Repeat("a", 40)+"\r\n", 6), nil, "too big request"},
	{"an escaped letter of three bytes", "E \"\\咫\"\n", [][]string{{"E", "咫"}}, ""},
	{"what looks like an array within a line", "PI*1\r\n$4\r\nPING\r\n", [][]string{{"PI*1"}, {"$4"}, {"PING"}}, ""},
	{"unbalanced", "ECHO \"a\r\n", nil, "unbalanced quotes in request"},
	{"no blank behind a quote", "ECHO 'a'b\r\n", nil, "unbalanced quotes in request"},
	{"a backslash last", "ECHO \"\\\r\n", nil, "unbalanced quotes in request"},
	{"endless line", strings.Repeat("a", 31), nil, "too big inline request"},
	{"long line", strings.Repeat("a", 31) + "\n", nil, "too big inline request"},
	{"endless count", "*" + strings.Repeat("1", 30), nil, "too big mbulk count string"},
	{"endless size", "*1\r\n$" + strings.Repeat("1", 30), nil, "too big bulk count string"},
	{"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + strings.Repeat("\x00", 30), nil, "too big inline request"},
}

// Every split of a stream gives the same commands, and those of the reference.
func TestEverySplitOfAStream(t *testing.T) {
	for _, c := range streams {
		t.Run(c.name, func(t *testing.T) {
			commands, problem := referenceOf(small).decode(c.stream)
			require.Equal(t, c.commands, commands, "the reference")
			require.Equal(t, c.problem, problem, "the reference")
			berthtest.Splits(t, c.stream, func(chunks []string) {
				commands, problem := read(t, &resp.Parser{Limits: small}, chunks)
				assert.Equal(t, c.commands, commands)
				assert.Equal(t, c.problem, problem)
			})
		})
	}
}

// FuzzParser compares with the reference: the stream whole, byte by byte, and in chunks of a size
// that the fuzzer chooses.
func FuzzParser(f *testing.F) {
	for _, c := range streams {
		f.Add([]byte(c.stream), 3)
	}
	f.Fuzz(func(t *testing.T, stream []byte, size int) {
		commands, problem := referenceOf(small).decode(string(stream))
		for _, size := range []int{len(stream), 1, size} {
			var chunks []string
			for rest := string(stream); rest != ""; {
				n := max(1, min(len(rest), size))
				chunks, rest = append(chunks, rest[:n]), rest[n:]
			}
			got, gotProblem := read(t, &resp.Parser{Limits: small}, chunks)
			require.Equal(t, commands, got)
			require.Equal(t, problem, gotProblem)
		}
	})
}

// The defaults are Redis' own.
func TestDefaultLimits(t *testing.T) {
	for stream, problem := range map[string]string{
		"*1048576\r\n":                              "",
		"*1048577\r\n":                              "invalid multibulk length",
		"*1\r\n$536870912\r\n":                      "",
		"*1\r\n$536870913\r\n":                      "invalid bulk length",
		strings.Repeat("a", 65536):                  "",
		strings.Repeat("a", 65537):                  "too big inline request",
		"*2\r\n$1\r\na\r\n$10\r\n" + "0123456789\r": "",
	} {
		_, got := read(t, &resp.Parser{}, []string{stream})
		assert.Equal(t, problem, got, "%.20q", stream)
	}
}

// A length that is only announced takes no memory of its size.
func TestAnAnnouncedArgumentTakesNoMemory(t *testing.T) {
	parsers := make([]resp.Parser, 100)
	before := heap()
	for i := range parsers {
		_, problem := read(t, &parsers[i], []string{"*1048576\r\n$536870912\r\nabc"})
		require.Empty(t, problem)
	}
	assert.Less(t, heap()-before, int64(len(parsers)*(100<<10)))
	runtime.KeepAlive(parsers)
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// An argument far larger than a read buffer is copied about twice, whatever its size: memory is
// allocated in proportion to it, not to the number of pieces.
func TestALargeArgumentIsLinear(t *testing.T) {
	chunk := []byte(strings.Repeat("x", 8<<10))
	for _, size := range []int{1 << 20, 16 << 20} {
		var p resp.Parser
		var b berth.Buffer
		next := func(p2 []byte) (resp.Command, error) {
			(*protocol.Source)(&b).Attach(p2, nil, false)
			return p.Next(&b)
		}
		before := allocated()
		_, err := next([]byte("*1\r\n$" + strconv.Itoa(size) + "\r\n"))
		require.Equal(t, resp.ErrIncomplete, err)
		for range size / len(chunk) {
			if _, err = next(chunk); err != resp.ErrIncomplete {
				t.Fatal(err)
			}
		}
		command, err := next([]byte("\r\n"))
		require.NoError(t, err)
		assert.Less(t, allocated()-before, uint64(3*size), "%d bytes", size)
		require.Len(t, command.Args[0], size)
		require.LessOrEqual(t, cap(command.Args[0]), size)
	}
}

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

// A whole command allocates nothing.
func TestAWholeCommandIsNotCopied(t *testing.T) {
	stream := []byte(strings.Repeat("*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n", 10))
	var p resp.Parser
	var b berth.Buffer
	n := 0
	allocations := testing.AllocsPerRun(100, func() {
		(*protocol.Source)(&b).Attach(stream, nil, false)
		for {
			command, err := p.Next(&b)
			if err != nil {
				return
			}
			if command.Owned || &command.Args[2][0] != &stream[n%10*33+26] {
				t.Fatal("an argument is no part of the buffer")
			}
			n++
		}
	})
	assert.Zero(t, allocations)
	assert.Equal(t, 1010, n)
}

func TestInteger(t *testing.T) {
	for _, text := range []string{"0", "1", "-1", "9223372036854775807", "-9223372036854775808", "120"} {
		n, ok := resp.Integer([]byte(text))
		assert.True(t, ok, text)
		assert.Equal(t, text, strconv.FormatInt(n, 10))
	}
	for _, text := range []string{"", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0", "9223372036854775808", "-9223372036854775809",
		"18446744073709551617", "99999999999999999999", "0x1"} {
		_, ok := resp.Integer([]byte(text))
		assert.False(t, ok, text)
	}
}

func BenchmarkParser(b *testing.B) {
	for _, pipeline := range []int{1, 16} {
		b.Run(fmt.Sprint(pipeline), func(b *testing.B) {
			stream := []byte(strings.Repeat("*2\r\n$3\r\nGET\r\n$16\r\nkey:000000012345\r\n", pipeline))
			var p resp.Parser
			var buffer berth.Buffer
			b.ReportAllocs()
			for range b.N {
				(*protocol.Source)(&buffer).Attach(stream, nil, false)
				for range pipeline {
					if _, err := p.Next(&buffer); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*pipeline), "ns/command")
		})
	}
}
