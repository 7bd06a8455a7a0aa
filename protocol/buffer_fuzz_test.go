package protocol_test

import (
	"bytes"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/report"
)

// FuzzBufferOperations lets every two bytes choose an operation on a Buffer: the step, and its n.
func FuzzBufferOperations(f *testing.F) {
	f.Fuzz(func(t *testing.T, unread, program []byte) {
		unread, program = unread[:min(len(unread), 256)], program[:min(len(program), 512)] // many short runs find more
		b := newTwin(unread)
		b.check(t)
		for ; len(program) >= 2; program = program[2:] {
			steps[int(program[0])%len(steps)].do(t, b, number(program[1]))
			b.check(t)
		}
	})
}

// number makes a number of bytes of one byte: -127 to 126, and the two ends of int.
func number(c byte) int {
	switch n := int8(c); n {
	case math.MinInt8:
		return math.MinInt
	case math.MaxInt8:
		return math.MaxInt
	default:
		return int(n)
	}
}

// FuzzReadLine shows a stream in windows as a connection does, with the unconsumed bytes at the
// head of the next window. It expects the lines of the stream for all cuts. The low seven bits of
// each cut are how many new bytes a window brings (0 is a Data forced by Resume); with the high bit
// the handler takes one line of it only. The last window brings the rest.
func FuzzReadLine(f *testing.F) {
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		lines, kept := linesThroughWindows(stream, cuts)
		wantLines, wantKept := linesOf(stream)
		require.Equal(t, wantLines, lines)
		require.Equal(t, wantKept, kept)
	})
}

// linesThroughWindows returns the lines that are read from a stream cut in this way, and the
// unconsumed bytes.
func linesThroughWindows(stream, cuts []byte) (lines []string, rest string) {
	var kept []byte // not consumed by the previous call
	show := func(arrived []byte, limit int, eof bool) {
		memory := []byte(margin + string(kept) + string(arrived) + margin)
		b := new(protocol.Buffer)
		(*protocol.Source)(b).Attach(memory[len(margin):len(memory)-len(margin)], nil, eof)
		for range min(limit, len(memory)) { // a line that consumed nothing must not hang the test
			line, ok := b.ReadLine()
			if !ok {
				break
			}
			lines = append(lines, string(line))
		}
		kept = bytes.Clone(b.Bytes())
	}
	left := stream
	for _, cut := range cuts {
		n, limit := min(int(cut&0x7f), len(left)), math.MaxInt
		if cut&0x80 != 0 {
			limit = 1
		}
		show(left[:n], limit, false)
		left = left[n:]
	}
	show(left, math.MaxInt, true)
	return lines, string(kept)
}

var (
	splits = flag.Int("splits", 20_000, "how many random streams are cut at random")
	seed   = flag.Uint64("seed", 0, "of all random choices; 0: one is drawn, and printed")
)

func TestTheLinesAreTheSameHoweverTheStreamIsCut(t *testing.T) {
	began, n := time.Now(), *seed
	if n == 0 {
		n = rand.Uint64N(1 << 32)
	}
	t.Logf("again: go test ./protocol -count=1 -run '%s' -seed %d -splits %d", t.Name(), n, *splits)
	random := rand.New(rand.NewPCG(n, 0))
	for range *splits {
		stream, cuts := make([]byte, random.IntN(200)), make([]byte, random.IntN(20))
		for i := range stream {
			stream[i] = "\n\n\r\rabcd"[random.IntN(8)]
		}
		for i := range cuts {
			cuts[i] = byte(random.Uint32()) & 0x9f
		}
		lines, rest := linesThroughWindows(stream, cuts)
		wantLines, wantRest := linesOf(stream)
		require.Equal(t, wantLines, lines, "%q cut at %v", stream, cuts)
		require.Equal(t, wantRest, rest, "%q cut at %v", stream, cuts)
	}
	report.Add(t, report.Row{ID: "F2", Holds: "G2", Figures: map[string]any{"streams": *splits, "read otherwise": 0}, Seeds: fmt.Sprint(n), Duration: time.Since(began)})
}

// linesOf is the reference: the lines of the whole stream, and the bytes behind its last LF.
func linesOf(stream []byte) (lines []string, rest string) {
	parts := bytes.Split(stream, []byte("\n"))
	last := len(parts) - 1
	for _, p := range parts[:last] {
		lines = append(lines, string(bytes.TrimSuffix(p, []byte("\r"))))
	}
	return lines, string(parts[last])
}
