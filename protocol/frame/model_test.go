package frame_test

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/test/berthtest"
)

// outcome is what became of a whole stream.
type outcome struct {
	Frames  []string
	Problem string // the error that ended it; "incomplete" where the stream ended inside a frame
	Length  uint64
	Rest    string // what was not consumed
}

// decode shows the chunks one by one, then the FIN, as a connection does.
func decode(t require.TestingT, d frame.Decoder, most int, chunks []string) (o outcome) {
	b := new(berthtest.Buffer)
	for i := range len(chunks) + 1 {
		last := i == len(chunks)
		show := b.End
		if !last {
			show = func() *protocol.Buffer { return b.Feed(chunks[i]) }
		}
		data := show()
		for {
			payload, err := d.Next(data)
			if err == nil {
				require.NotNil(t, payload)
				o.Frames = append(o.Frames, string(payload))
				require.Equal(t, len(payload), cap(payload), "an append would reach other bytes")
				continue
			}
			require.Nil(t, payload)
			if err != frame.ErrIncomplete {
				o.Problem, o.Length = problemOf(err)
				_, again := d.Next(data)
				require.Equal(t, err, again)
				o.Rest = string(data.Bytes()) + strings.Join(chunks[min(i+1, len(chunks)):], "")
				return o
			}
			require.Less(t, data.Len(), most, "incomplete, and a read buffer of Max has no room left")
			break
		}
		if err := frame.Incomplete(data); err != nil {
			require.True(t, last)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			o.Problem = "incomplete"
		}
		o.Rest = string(data.Bytes())
	}
	return o
}

// refer applies the reference to the whole stream.
func (s *subject) refer(stream string) (o outcome) {
	for {
		switch a := s.next(stream, true); {
		case a.problem == "":
			o.Frames = append(o.Frames, a.payload)
			stream = stream[a.consumed:]
			continue
		case a.problem != "incomplete":
			o.Problem, o.Length = a.problem, a.length
		case stream != "":
			o.Problem = "incomplete"
		}
		o.Rest = stream
		return o
	}
}

// check compares the frames of a stream that is cut like that with those of the reference: without
// one, with those of the whole stream.
func (s *subject) check(t require.TestingT, chunks []string) {
	stream := strings.Join(chunks, "")
	var want outcome
	if s.next != nil {
		want = s.refer(stream)
	} else {
		want = decode(t, s.make(), s.max, []string{stream})
	}
	require.Equal(t, want, decode(t, s.make(), s.max, chunks), "%s: %q", s.name, chunks)
}

func TestTheFramesAreTheSameHoweverTheStreamIsCut(t *testing.T) {
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s.check(t, rapid.SliceOfN(rapid.SampledFrom(s.words), 0, 30).Draw(t, "chunks"))
			})
			rapid.Check(t, func(t *rapid.T) {
				stream := strings.Join(rapid.SliceOfN(rapid.SampledFrom(s.words), 0, 30).Draw(t, "stream"), "")
				s.check(t, cut(stream, rapid.SliceOf(rapid.Byte()).Draw(t, "cuts")))
			})
		})
	}
}

// cut cuts a stream into chunks of so many bytes, the last of which has the rest.
func cut(stream string, cuts []byte) (chunks []string) {
	for _, c := range cuts {
		n := min(int(c%16), len(stream))
		chunks = append(chunks, stream[:n])
		stream = stream[n:]
	}
	return append(chunks, stream)
}

func TestEverySplitOfAShortStreamGivesTheSameFrames(t *testing.T) {
	for _, s := range subjects() {
		t.Run(s.name, func(t *testing.T) {
			stream := strings.Join(s.words, "")
			berthtest.Splits(t, stream[:min(11, len(stream))], func(chunks []string) { s.check(t, chunks) })
		})
	}
}

// FuzzDecoders cuts a stream and expects the frames of the reference, wherever it is cut. The first
// byte of choice says which decoder it is, the others how many bytes each chunk has.
func FuzzDecoders(f *testing.F) {
	all := subjects()
	for i, s := range all {
		f.Add([]byte(strings.Join(s.words, "")), []byte{byte(i), 1, 2, 3})
	}
	f.Fuzz(func(t *testing.T, stream, choice []byte) {
		if len(choice) == 0 {
			return
		}
		stream, choice = stream[:min(len(stream), 512)], choice[:min(len(choice), 128)]
		all[int(choice[0])%len(all)].check(t, cut(string(stream), choice[1:]))
	})
}

// FuzzLengthPrefixed does so for any header.
func FuzzLengthPrefixed(f *testing.F) {
	f.Add([]byte("\x00\x05hello\x00\x05world"), []byte{3, 4}, uint8(0), uint8(1), int8(0), uint8(2), false)
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff"), []byte{3, 4}, uint8(0), uint8(7), int8(-8), uint8(0), true)
	f.Fuzz(func(t *testing.T, stream, cuts []byte, offset, width uint8, adjust int8, strip uint8, little bool) {
		d := frame.LengthPrefixed{
			Offset: int(offset % 8), Width: int(width%8) + 1, Adjust: int(adjust), Strip: int(strip % 64), LittleEndian: little, Max: 64,
		}
		s := subject{"any header", func() frame.Decoder { return &d }, lengthPrefixed(d), d.Max, nil}
		stream, cuts = stream[:min(len(stream), 512)], cuts[:min(len(cuts), 128)]
		s.check(t, cut(string(stream), cuts))
	})
}

// A handler may consume bytes with other code at any time, also of a frame that has not come whole.
func TestADecoderIsRightAlsoIfOtherCodeConsumesBytes(t *testing.T) {
	for _, s := range subjects() {
		if s.next == nil {
			continue // of bufio: no memory of earlier looks
		}
		t.Run(s.name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				b, d, unread := new(berthtest.Buffer), s.make(), ""
				data := b.Feed("")
				t.Repeat(map[string]func(*rapid.T){
					"feed": func(t *rapid.T) {
						chunk := rapid.SampledFrom(s.words).Draw(t, "chunk")
						data, unread = b.Feed(chunk), unread+chunk
					},
					"next": func(t *rapid.T) {
						want := s.next(unread, false)
						payload, err := d.Next(data)
						problem, length := problemOf(err)
						require.Equal(t, want, answer{string(payload), len(unread) - data.Len(), problem, length}, "%q", unread)
						unread = unread[want.consumed:]
					},
					"other code": func(t *rapid.T) {
						n := data.Discard(rapid.IntRange(0, 6).Draw(t, "n"))
						unread = unread[n:]
					},
					"feed what was consumed": func(t *rapid.T) { // the same length, and often the same bytes
						n := data.Discard(1)
						data, unread = b.Feed(s.words[0][:n]), unread[n:]+s.words[0][:n]
					},
					"": func(t *rapid.T) { require.Equal(t, unread, string(data.Bytes())) },
				})
			})
		})
	}
}

func TestABufferOfItsOwnForEachCallIsNoMistake(t *testing.T) {
	d := frame.Lines{}
	for _, window := range []string{"abc", "abc\n", "a\nb\n", "b\n"} {
		payload, err := d.Next(newBuffer(window))
		if want, _, found := strings.Cut(window, "\n"); found {
			require.NoError(t, err)
			require.Equal(t, want, string(payload))
		}
	}
}

func TestTheLastErrorOfFramesEndsTheLoop(t *testing.T) {
	d := frame.OctetCounted{}
	b := newBuffer("1 a2 bcx3")
	var got []string
	for payload, err := range d.Frames(b) {
		got = append(got, string(payload))
		if err != nil {
			require.ErrorIs(t, err, frame.ErrMalformed)
			got = append(got, "malformed")
		}
	}
	require.Equal(t, []string{"a", "bc", "", "malformed"}, got)
	require.Equal(t, "x3", string(b.Bytes()))
}

func TestALoopThatIsLeftConsumesNoMore(t *testing.T) {
	d := frame.Lines{}
	b := newBuffer("a\nb\nc\n")
	for line, err := range d.Frames(b) {
		require.NoError(t, err)
		require.Equal(t, "a", string(line))
		break
	}
	require.Equal(t, "b\nc\n", string(b.Bytes()))
	for line, err := range d.Frames(b) {
		require.NoError(t, err)
		require.True(t, bytes.Equal(line, []byte("b")) || bytes.Equal(line, []byte("c")))
	}
	require.Zero(t, b.Len())
}
