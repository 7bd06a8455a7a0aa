package protocol_test

import (
	"io"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/protocol"
)

// window returns a Buffer as a connection shows it: unread in the middle of larger memory, bytes
// consumed earlier before it, room for the bytes to come behind it. No method may read either, so
// both are filled with misleading contents.
func window(before, unread, behind string) *protocol.Buffer {
	memory := []byte(before + unread + behind)
	b := protocol.NewBuffer(nil)
	(*protocol.Source)(b).Attach(memory[len(before):len(before)+len(unread)], nil, false)
	return b
}

func buffer(unread string) *protocol.Buffer { return protocol.NewBuffer([]byte(unread)) }

func TestNextPeekAndDiscardTakeAsMuchAsThereIs(t *testing.T) {
	for _, c := range []struct {
		name        string
		unread      string
		n           int
		taken, left string
	}{
		{"some of the bytes", "hello", 2, "he", "llo"},
		{"all of the bytes", "hello", 5, "hello", ""},
		{"one more than there are", "hello", 6, "hello", ""},
		{"far more than there are", "hello", math.MaxInt, "hello", ""},
		{"zero bytes", "hello", 0, "", "hello"},
		{"minus one byte", "hello", -1, "", "hello"},
		{"the most negative number of bytes", "hello", math.MinInt, "", "hello"},
		{"one byte of nothing", "", 1, "", ""},
		{"zero bytes of nothing", "", 0, "", ""},
		{"minus one byte of nothing", "", -1, "", ""},
	} {
		t.Run("Next: "+c.name, func(t *testing.T) {
			b := window("<<", c.unread, ">>")
			assert.Equal(t, c.taken, string(b.Next(c.n)))
			assert.Equal(t, c.left, string(b.Bytes()))
		})
		t.Run("Discard: "+c.name, func(t *testing.T) {
			b := window("<<", c.unread, ">>")
			assert.Equal(t, len(c.taken), b.Discard(c.n))
			assert.Equal(t, c.left, string(b.Bytes()))
		})
		t.Run("Peek consumes nothing: "+c.name, func(t *testing.T) {
			b := window("<<", c.unread, ">>")
			assert.Equal(t, c.taken, string(b.Peek(c.n)))
			assert.Equal(t, c.taken, string(b.Peek(c.n)), "the second look")
			assert.Equal(t, c.unread, string(b.Bytes()))
		})
	}
}

func TestBytesAndLenConsumeNothing(t *testing.T) {
	b := window("<<", "hello", ">>")
	for range 2 {
		assert.Equal(t, "hello", string(b.Bytes()))
		assert.Equal(t, 5, b.Len())
	}
	b.Discard(4)
	assert.Equal(t, "o", string(b.Bytes()))
	assert.Equal(t, 1, b.Len())
}

func TestAppendingToAReturnedSliceLeavesTheUnreadBytesAlone(t *testing.T) {
	for _, c := range []struct {
		name string
		take func(*protocol.Buffer) []byte
		left string
	}{
		{"Next", func(b *protocol.Buffer) []byte { return b.Next(2) }, "\r\ncd\nef"},
		{"Next of zero bytes", func(b *protocol.Buffer) []byte { return b.Next(0) }, "ab\r\ncd\nef"},
		{"Next of too few bytes", func(b *protocol.Buffer) []byte { return b.Next(-1) }, "ab\r\ncd\nef"},
		{"Peek", func(b *protocol.Buffer) []byte { return b.Peek(2) }, "ab\r\ncd\nef"},
		{"ReadLine that ended in CR LF", func(b *protocol.Buffer) []byte { line, _ := b.ReadLine(); return line }, "cd\nef"},
		{"ReadLine that ended in LF", func(b *protocol.Buffer) []byte { b.ReadLine(); line, _ := b.ReadLine(); return line }, "ef"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := buffer("ab\r\ncd\nef")
			taken := c.take(b)
			assert.Equal(t, len(taken), cap(taken))
			_ = append(taken, "overwritten"...)
			assert.Equal(t, c.left, string(b.Bytes()))
		})
	}
}

func TestAppendingToWhatNextReturnedKeepsBytesBehindTheUnreadOnes(t *testing.T) {
	memory := []byte("unread|to come")
	b := protocol.NewBuffer(nil)
	(*protocol.Source)(b).Attach(memory[:6], nil, false)
	_ = append(b.Next(6), "overwritten"...)
	assert.Equal(t, "unread|to come", string(memory))
}

func TestReturnedSlicesShareTheMemoryAndCostNoAllocation(t *testing.T) {
	memory := []byte("ab\r\ncd")
	for name, take := range map[string]func(*protocol.Buffer) []byte{
		"Bytes":    (*protocol.Buffer).Bytes,
		"Peek":     func(b *protocol.Buffer) []byte { return b.Peek(3) },
		"Next":     func(b *protocol.Buffer) []byte { return b.Next(3) },
		"ReadLine": func(b *protocol.Buffer) []byte { line, _ := b.ReadLine(); return line },
		"Take":     (*protocol.Buffer).Take,
	} {
		b := protocol.NewBuffer(memory)
		assert.Same(t, &memory[0], &take(b)[0], name)
		assert.Zero(t, testing.AllocsPerRun(10, func() {
			(*protocol.Source)(b).Attach(memory, nil, false)
			take(b)
		}), name)
	}
}

func TestReadLine(t *testing.T) {
	for _, c := range []struct {
		name   string
		before string // already consumed; the byte before the window is its last
		unread string
		behind string // memory behind the window
		line   string
		ok     bool
		left   string
	}{
		{name: "takes the line without its LF", unread: "one\ntwo\n", line: "one", ok: true, left: "two\n"},
		{name: "strips one CR before the LF", unread: "one\r\ntwo", line: "one", ok: true, left: "two"},
		{name: "strips one CR only", unread: "one\r\r\n", line: "one\r", ok: true},
		{name: "keeps a CR inside the line", unread: "o\rne\n", line: "o\rne", ok: true},
		{name: "keeps a CR at the start of the line", unread: "\rone\n", line: "\rone", ok: true},
		{name: "leaves a CR that begins the next line", unread: "one\n\r\n", line: "one", ok: true, left: "\r\n"},
		{name: "takes LF as the first byte as an empty line", unread: "\ntwo", line: "", ok: true, left: "two"},
		{name: "takes CR LF as the first bytes as an empty line", unread: "\r\ntwo", line: "", ok: true, left: "two"},
		{name: "takes LF alone as an empty line", unread: "\n", line: "", ok: true},
		{name: "takes CR LF alone as an empty line", unread: "\r\n", line: "", ok: true},
		{name: "finds LF as the very last byte", unread: "one\n", line: "one", ok: true},
		{name: "does not look at a consumed CR before an LF", before: "one\r", unread: "\ntwo", line: "", ok: true, left: "two"},
		{name: "does not look at a consumed CR before CR LF", before: "\r", unread: "\r\n", line: "", ok: true},
		{name: "does not look at a consumed LF", before: "one\n", unread: "two", ok: false, left: "two"},
		{name: "does not look behind the unread bytes", unread: "one", behind: "\n", ok: false, left: "one"},
		{name: "does not look behind an unread CR", unread: "one\r", behind: "\n", ok: false, left: "one\r"},
		{name: "does not look behind nothing", unread: "", behind: "\n", ok: false},
		{name: "without LF consumes nothing", unread: "one", ok: false, left: "one"},
		{name: "with a lone CR consumes nothing", unread: "\r", ok: false, left: "\r"},
		{name: "does not end a line at a CR", unread: "one\rtwo", ok: false, left: "one\rtwo"},
		{name: "of an empty buffer consumes nothing", unread: "", ok: false},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := window(c.before, c.unread, c.behind)
			line, ok := b.ReadLine()
			assert.Equal(t, c.ok, ok)
			assert.Equal(t, c.line, string(line))
			assert.Equal(t, c.left, string(b.Bytes()))
		})
	}
}

func TestReadLineAfterTheCRWasConsumedReturnsAnEmptyLine(t *testing.T) {
	b := buffer("one\r\ntwo")
	taken := b.Next(4)
	line, ok := b.ReadLine()
	assert.True(t, ok)
	assert.Empty(t, line)
	assert.Equal(t, "one\r", string(taken), "what Next returned stays as it was")
	assert.Equal(t, "two", string(b.Bytes()))
}

func TestReadLineTellsAnEmptyLineFromNone(t *testing.T) {
	line, ok := buffer("\n").ReadLine()
	assert.True(t, ok)
	assert.NotNil(t, line)

	line, ok = buffer("").ReadLine()
	assert.False(t, ok)
	assert.Nil(t, line)
}

func TestIndex(t *testing.T) {
	for _, c := range []struct {
		name   string
		unread string
		sep    string
		want   int
	}{
		{"finds sep at the start", "abcabc", "abc", 0},
		{"finds the first of several", "xabab", "ab", 1},
		{"finds sep at the very end", "abcde", "de", 3},
		{"finds one byte at the very end", "abcde", "e", 4},
		{"finds sep that is all there is", "abc", "abc", 0},
		{"finds sep after a beginning of it", "aab", "ab", 1},
		{"does not find what is not there", "abc", "x", -1},
		{"does not find sep of which only the beginning is there", "abc", "cd", -1},
		{"does not find sep that goes on behind the unread bytes", "abc", "c>", -1},
		{"does not find sep that began before the unread bytes", "abc", "<a", -1},
		{"does not find sep one byte longer than what is there", "abc", "abcd", -1},
		{"does not find sep far longer than what is there", "abc", "abcabcabcabc", -1},
		{"does not find anything in nothing", "", "a", -1},
		{"finds an empty sep at 0", "abc", "", 0},
		{"finds an empty sep at 0 of nothing", "", "", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := window("<<", c.unread, ">>")
			assert.Equal(t, c.want, b.Index([]byte(c.sep)))
			if len(c.sep) == 1 {
				assert.Equal(t, c.want, b.IndexByte(c.sep[0]))
			}
			assert.Equal(t, c.unread, string(b.Bytes()), "nothing is consumed")
		})
	}
	t.Run("counts from the first unread byte", func(t *testing.T) {
		b := buffer("ab\nab\n")
		b.Discard(3)
		assert.Equal(t, 2, b.IndexByte('\n'))
		assert.Equal(t, 1, b.Index([]byte("b\n")))
	})
}

func TestAttachReplacesWhatIsShown(t *testing.T) {
	b := buffer("before")
	assert.False(t, b.AtEOF())
	assert.Nil(t, (*protocol.Source)(b).Storage())

	(*protocol.Source)(b).Attach([]byte("last"), "owner", true)
	assert.Equal(t, "last", string(b.Bytes()))
	assert.Equal(t, "owner", (*protocol.Source)(b).Storage())
	assert.True(t, b.AtEOF())

	b.Discard(4)
	assert.True(t, b.AtEOF(), "consuming does not change it")
	assert.Equal(t, "owner", (*protocol.Source)(b).Storage(), "the owner keeps the memory of consumed bytes")

	(*protocol.Source)(b).Attach(nil, nil, false)
	assert.Zero(t, b.Len())
	assert.Nil(t, (*protocol.Source)(b).Storage())
	assert.False(t, b.AtEOF())
}

func TestTakeGivesTheUnreadBytesAwayForGood(t *testing.T) {
	for _, c := range []struct {
		name     string
		unread   string
		consumed int
		taken    string
	}{
		{name: "all of them", unread: "hello", taken: "hello"},
		{name: "those that are left", unread: "hello", consumed: 3, taken: "lo"},
		{name: "none left, but the memory of those consumed", unread: "hello", consumed: 5, taken: ""},
		{name: "none at all", unread: "", taken: ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := buffer("")
			(*protocol.Source)(b).Attach([]byte(c.unread), "owner", true)
			b.Discard(c.consumed)

			assert.Equal(t, c.taken, string(b.Take()))
			assert.Zero(t, b.Len())
			assert.Nil(t, (*protocol.Source)(b).Storage(), "the owner must not get the memory back")
			assert.True(t, b.AtEOF())
			assert.Empty(t, b.Take(), "there is nothing to give a second time")
		})
	}
}

func TestHandGivesTheUnreadBytesAwayTogetherWithTheirOwner(t *testing.T) {
	b := buffer("")
	(*protocol.Source)(b).Attach([]byte("hello"), "owner", true)
	b.Discard(3)

	unread, owner := (*protocol.Source)(b).Hand()
	assert.Equal(t, "lo", string(unread))
	assert.Equal(t, "owner", owner)
	assert.Zero(t, b.Len())
	assert.Nil(t, (*protocol.Source)(b).Storage())
	assert.True(t, b.AtEOF())

	unread, owner = (*protocol.Source)(b).Hand()
	assert.Empty(t, unread)
	assert.Nil(t, owner, "there is one owner, handed over once")
}

func TestTheZeroBufferIsEmpty(t *testing.T) {
	b := new(protocol.Buffer)
	_, ok := b.ReadLine()
	assert.False(t, ok)
	_, err := b.ReadByte()
	assert.Equal(t, io.EOF, err)
	assert.Empty(t, b.Next(1))
	assert.Empty(t, b.Peek(1))
	assert.Equal(t, -1, b.IndexByte(0))
	assert.Equal(t, -1, b.Index([]byte("a")))
	assert.Zero(t, b.Discard(1))
	assert.Empty(t, b.Take())
	assert.False(t, b.AtEOF())
}
