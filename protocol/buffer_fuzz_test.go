package protocol_test

import (
	"bytes"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// FuzzBufferOperations lets two bytes at a time decide what happens to a Buffer: which of the steps, and its n.
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

// FuzzReadLine shows a stream in windows as a connection does, what was not consumed leading the next, and expects the
// lines of the stream, wherever it is cut. The low seven bits of each cut are how many new bytes a window brings (0 is
// a Data forced by Resume); with the high bit the handler takes one line of it only. The last window brings the rest.
func FuzzReadLine(f *testing.F) {
	f.Fuzz(func(t *testing.T, stream, cuts []byte) {
		var lines []string
		var kept []byte // not consumed by the previous call
		show := func(arrived []byte, limit int, eof bool) {
			memory := []byte(margin + string(kept) + string(arrived) + margin)
			b := new(protocol.Buffer)
			b.Attach(memory[len(margin):len(memory)-len(margin)], nil, eof)
			for range min(limit, len(memory)) { // a line that consumed nothing must not hang the test
				line, ok := b.ReadLine()
				if !ok {
					break
				}
				lines = append(lines, string(line))
			}
			kept = bytes.Clone(b.Bytes())
		}

		rest := stream
		for _, cut := range cuts {
			n, limit := min(int(cut&0x7f), len(rest)), math.MaxInt
			if cut&0x80 != 0 {
				limit = 1
			}
			show(rest[:n], limit, false)
			rest = rest[n:]
		}
		show(rest, math.MaxInt, true)

		wantLines, wantKept := linesOf(stream)
		require.Equal(t, wantLines, lines)
		require.Equal(t, wantKept, string(kept))
	})
}

// linesOf is the reference: the lines of the whole stream, and what follows its last LF.
func linesOf(stream []byte) (lines []string, rest string) {
	parts := bytes.Split(stream, []byte("\n"))
	last := len(parts) - 1
	for _, p := range parts[:last] {
		lines = append(lines, string(bytes.TrimSuffix(p, []byte("\r"))))
	}
	return lines, string(parts[last])
}
