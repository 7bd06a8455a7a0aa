package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/protocol"
)

// twin is a Buffer beside its simplest model: a slice of the unread bytes.
type twin struct {
	real *protocol.Buffer

	unread  []byte // what real must show
	offset  uint64 // how many bytes were consumed before unread
	storage any
	eof     bool

	memory   []byte // the memory behind real, with a margin on both sides of what is shown
	pristine string // what memory must contain for ever: no operation writes into it, not even an append to a result
}

// margin surrounds the unread bytes, to catch an operation that looks or writes outside of them.
const margin = "\r\r\n"

func newTwin(unread []byte) *twin {
	b := &twin{real: new(protocol.Buffer)}
	b.attach(unread, nil, false)
	return b
}

func (b *twin) attach(unread []byte, storage any, eof bool) {
	b.unread, b.storage, b.eof = bytes.Clone(unread), storage, eof
	b.pristine = margin + string(unread) + margin
	b.memory = []byte(b.pristine)
	(*protocol.Source)(b.real).Attach(b.memory[len(margin):len(margin)+len(unread)], storage, eof)
}

// consume takes n bytes, or as many as there are, from the model.
func (b *twin) consume(n int) string {
	n = max(0, min(n, len(b.unread)))
	p := string(b.unread[:n])
	b.unread = b.unread[n:]
	b.offset += uint64(n)
	return p
}

// check holds between any two operations.
func (b *twin) check(t require.TestingT) {
	require.Equal(t, string(b.unread), string(b.real.Bytes()))
	require.Equal(t, len(b.unread), b.real.Len())
	require.Equal(t, b.offset, b.real.Offset())
	require.Equal(t, b.storage, (*protocol.Source)(b.real).Storage())
	require.Equal(t, b.eof, b.real.AtEOF())
	require.Equal(t, b.pristine, string(b.memory), "the memory must not be written")
}

// step does one operation on both and compares their answers. The operation gives n its meaning.
type step struct {
	name string
	do   func(t require.TestingT, b *twin, n int)
}

// steps are all operations of a Buffer. The corpus of FuzzBufferOperations names them by position:
// add at the end.
var steps = []step{
	{"Next", func(t require.TestingT, b *twin, n int) {
		got := b.real.Next(n)
		require.Equal(t, b.consume(n), string(got))
		_ = append(got, '!')
	}},
	{"Peek", func(t require.TestingT, b *twin, n int) {
		got := b.real.Peek(n)
		require.Equal(t, string(b.unread[:max(0, min(n, len(b.unread)))]), string(got))
		_ = append(got, '!')
	}},
	{"Discard", func(t require.TestingT, b *twin, n int) {
		require.Equal(t, len(b.consume(n)), b.real.Discard(n))
	}},
	{"ReadByte", func(t require.TestingT, b *twin, _ int) {
		want := b.consume(1)
		got, err := b.real.ReadByte()
		if want == "" {
			require.Equal(t, io.EOF, err)
			return
		}
		require.NoError(t, err)
		require.Equal(t, want[0], got)
	}},
	{"Read", func(t require.TestingT, b *twin, n int) {
		p := room(n)
		empty := len(b.unread) == 0
		want := b.consume(len(p))
		got, err := b.real.Read(p)
		require.Equal(t, empty && len(p) > 0, err == io.EOF)
		require.Equal(t, want, string(p[:got]))
	}},
	{"CopyTo", func(t require.TestingT, b *twin, n int) {
		p := room(n)
		want := b.consume(len(p))
		require.Equal(t, want, string(p[:b.real.CopyTo(p)]))
	}},
	{"ReadLine", func(t require.TestingT, b *twin, _ int) {
		want, rest, found := bytes.Cut(b.unread, []byte("\n"))
		got, ok := b.real.ReadLine()
		require.Equal(t, found, ok)
		if !found {
			require.Nil(t, got)
			return
		}
		require.Equal(t, string(bytes.TrimSuffix(want, []byte("\r"))), string(got))
		b.consume(len(b.unread) - len(rest))
		_ = append(got, '!')
	}},
	{"IndexByte", func(t require.TestingT, b *twin, n int) {
		c := "ab\r\n"[uint(n)%4]
		require.Equal(t, position(b.unread, []byte{c}), b.real.IndexByte(c))
	}},
	{"Index", func(t require.TestingT, b *twin, n int) {
		sep := []string{"", "a", "\n", "\r\n", "ab", "\r\r\n", "no such bytes, and longer than most"}[uint(n)%7]
		require.Equal(t, position(b.unread, []byte(sep)), b.real.Index([]byte(sep)))
	}},
	{"Index of the last bytes", func(t require.TestingT, b *twin, n int) {
		sep := b.unread[len(b.unread)-max(0, min(n, len(b.unread))):]
		require.Equal(t, position(b.unread, sep), b.real.Index(sep))
	}},
	{"Index of more than there is", func(t require.TestingT, b *twin, _ int) {
		require.Equal(t, -1, b.real.Index(append(bytes.Clone(b.unread), margin...)))
	}},
	{"WriteTo", func(t require.TestingT, b *twin, n int) { b.writeTo(t, scripted{n: n}) }},
	{"WriteTo a failing writer", func(t require.TestingT, b *twin, n int) {
		b.writeTo(t, scripted{n: n, err: errors.New("broken")})
	}},
	{"WriteTo a good writer", func(t require.TestingT, b *twin, _ int) { b.writeTo(t, scripted{n: len(b.unread)}) }},
	{"Take", func(t require.TestingT, b *twin, _ int) {
		require.Equal(t, b.consume(math.MaxInt), string(b.real.Take()))
		b.storage = nil
	}},
	{"Hand", func(t require.TestingT, b *twin, _ int) {
		unread, storage := (*protocol.Source)(b.real).Hand()
		require.Equal(t, b.consume(math.MaxInt), string(unread))
		require.Equal(t, b.storage, storage)
		b.storage = nil
	}},
	// More bytes arrive: what was not consumed leads them, in other memory.
	{"Attach", func(_ require.TestingT, b *twin, n int) {
		const stream = "ab\r\na\n\r\r\nb\n\n\ra"
		b.attach(append(bytes.Clone(b.unread), stream[uint(n)%uint(len(stream)):]...), n, n%2 == 0)
	}},
}

func (b *twin) writeTo(t require.TestingT, w scripted) {
	asked := string(b.unread)
	want := b.consume(w.n)
	n, err := b.real.WriteTo(&w)
	require.Equal(t, int64(len(want)), n)
	switch {
	case asked == "":
		require.NoError(t, err)
		require.Empty(t, w.given)
		return
	case w.err != nil:
		require.Equal(t, w.err, err)
	case len(want) < len(asked):
		require.Equal(t, io.ErrShortWrite, err)
	default:
		require.NoError(t, err)
	}
	require.Equal(t, []string{asked}, w.given)
}

// position is the plainest form of Index.
func position(unread, sep []byte) int {
	for i := range len(unread) + 1 {
		if bytes.HasPrefix(unread[i:], sep) {
			return i
		}
	}
	return -1
}

// room is a slice to read into, of about n bytes.
func room(n int) []byte { return make([]byte, max(0, min(n, 64))) }

func TestABufferBehavesLikeASliceOfItsUnreadBytes(t *testing.T) {
	pieces := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "ab", "\r", "\n", "\r\n", "\r\r\n"}), 0, 20)
	numbers := rapid.OneOf(rapid.IntRange(-2, 42), rapid.SampledFrom([]int{math.MinInt, math.MaxInt}))
	rapid.Check(t, func(t *rapid.T) {
		b := newTwin([]byte(strings.Join(pieces.Draw(t, "unread"), "")))
		actions := map[string]func(*rapid.T){"": func(t *rapid.T) { b.check(t) }}
		for _, s := range steps {
			actions[s.name] = func(t *rapid.T) { s.do(t, b, numbers.Draw(t, "n")) }
		}
		t.Repeat(actions)
	})
}
