package protocol_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

var (
	_ io.Reader     = (*protocol.Buffer)(nil)
	_ io.ByteReader = (*protocol.Buffer)(nil)
	_ io.WriterTo   = (*protocol.Buffer)(nil)
)

func TestReadByteConsumesOneByteUntilThereIsNone(t *testing.T) {
	b := window("<<", "a\x00", ">>")
	for _, want := range []byte("a\x00") {
		c, err := b.ReadByte()
		require.NoError(t, err)
		assert.Equal(t, want, c)
	}
	for range 2 {
		c, err := b.ReadByte()
		assert.Equal(t, io.EOF, err)
		assert.Zero(t, c)
	}
}

func TestReadAndCopyToFillWhatTheyAreGiven(t *testing.T) {
	for _, c := range []struct {
		name        string
		unread      string
		size        int
		taken, left string
		err         error // of Read; CopyTo has none
	}{
		{"less than there is", "hello", 2, "he", "llo", nil},
		{"as much as there is", "hello", 5, "hello", "", nil},
		{"more than there is", "hello", 9, "hello", "", nil},
		{"nothing of something", "hello", 0, "", "hello", nil},
		{"something of nothing", "", 1, "", "", io.EOF},
		{"nothing of nothing", "", 0, "", "", nil},
	} {
		t.Run("Read: "+c.name, func(t *testing.T) {
			b, p := window("<<", c.unread, ">>"), bytes.Repeat([]byte{'.'}, c.size)
			n, err := b.Read(p)
			assert.Equal(t, c.err, err)
			assert.Equal(t, c.taken, string(p[:n]))
			assert.Equal(t, c.left, string(b.Bytes()))
		})
		t.Run("CopyTo: "+c.name, func(t *testing.T) {
			b, p := window("<<", c.unread, ">>"), bytes.Repeat([]byte{'.'}, c.size)
			n := b.CopyTo(p)
			assert.Equal(t, c.taken, string(p[:n]))
			assert.Equal(t, c.left, string(b.Bytes()))
		})
	}
	t.Run("a nil slice takes nothing", func(t *testing.T) {
		b := buffer("hello")
		n, err := b.Read(nil)
		assert.NoError(t, err)
		assert.Zero(t, n)
		assert.Zero(t, b.CopyTo(nil))
		assert.Equal(t, 5, b.Len())
	})
	t.Run("Read keeps the rules of io.Reader", func(t *testing.T) {
		assert.NoError(t, iotest.TestReader(buffer("two\r\nlines\n"), []byte("two\r\nlines\n")))
	})
}

// scripted is a writer that keeps its input, and answers as the test sets.
type scripted struct {
	n     int
	err   error
	given []string
}

func (w *scripted) Write(p []byte) (int, error) {
	w.given = append(w.given, string(p))
	return w.n, w.err
}

func TestWriteToConsumesWhatTheWriterTook(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		name     string
		writer   scripted
		consumed int
		err      error
	}{
		{"all", scripted{n: 5}, 5, nil},
		{"all, with an error", scripted{n: 5, err: broken}, 5, broken},
		{"a part, without an error", scripted{n: 2}, 2, io.ErrShortWrite},
		{"a part, with an error", scripted{n: 2, err: broken}, 2, broken},
		{"nothing, without an error", scripted{n: 0}, 0, io.ErrShortWrite},
		{"nothing, with an error", scripted{n: 0, err: broken}, 0, broken},
		{"a lie: more than all", scripted{n: 6}, 5, nil},
		{"a lie: far more than all", scripted{n: math.MaxInt}, 5, nil},
		{"a lie: more than all, with an error", scripted{n: 6, err: broken}, 5, broken},
		{"a lie: less than nothing", scripted{n: -1}, 0, io.ErrShortWrite},
		{"a lie: less than nothing, with an error", scripted{n: math.MinInt, err: broken}, 0, broken},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := window("<<", "hello", ">>")
			n, err := b.WriteTo(&c.writer)
			assert.Equal(t, int64(c.consumed), n)
			assert.Equal(t, c.err, err)
			assert.Equal(t, []string{"hello"}, c.writer.given, "the writer is asked once")
			assert.Equal(t, "hello"[c.consumed:], string(b.Bytes()))
		})
	}
}

func TestWriteToOfNothingDoesNotAskTheWriter(t *testing.T) {
	w := scripted{err: errors.New("broken")}
	n, err := buffer("").WriteTo(&w)
	assert.Zero(t, n)
	assert.NoError(t, err)
	assert.Empty(t, w.given)
}

func TestWriteToOfAWriterThatPanicsConsumesNothing(t *testing.T) {
	b := buffer("hello")
	assert.Panics(t, func() { _, _ = b.WriteTo(nil) })
	assert.Equal(t, "hello", string(b.Bytes()))
}

func TestIOCopyEmptiesTheBuffer(t *testing.T) {
	b, out := buffer("hello"), new(bytes.Buffer)
	n, err := io.Copy(out, b)
	assert.NoError(t, err)
	assert.Equal(t, int64(5), n)
	assert.Equal(t, "hello", out.String())
	assert.Zero(t, b.Len())
}
