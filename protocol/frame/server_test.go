package frame_test

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/test/berthtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A read buffer of Max bytes never ends a connection before its decoder does.
func TestTheDecoderEndsAConnectionNotTheReadBuffer(t *testing.T) {
	const most = 64
	ends := make(chan *berth.Closed, 1)
	server := berthtest.Serve(t, berth.Handlers(func() berth.Handler { return &lineEcho{lines: frame.Lines{Max: most}, ends: ends} }),
		berthtest.AllowFailures(), berthtest.With(berth.Options{Connection: berth.ConnectionOptions{ReadBufferSize: most}}))

	client := server.Dial()
	line := strings.Repeat("a", most-1)
	client.Send(line[:10])
	client.Send(line[10:] + "\n" + line + "\nb")
	client.ExpectLine(line)
	client.ExpectLine(line)
	client.Send("\n")
	client.ExpectLine("b")
	client.Send(line + "aaa")
	require.Equal(t, berth.ReasonHandlerError, client.ExpectClosed())
	closed := <-ends
	assert.ErrorIs(t, closed.Err, frame.ErrTooLong)

	client = server.Dial()
	client.Send("unfinished")
	client.CloseWrite()
	closed = <-ends
	assert.ErrorIs(t, closed.Err, io.ErrUnexpectedEOF)
}

type lineEcho struct {
	lines frame.Lines
	ends  chan *berth.Closed
}

func (e *lineEcho) Data(socket berth.Socket, data *berth.Buffer) error {
	for line, err := range e.lines.Frames(data) {
		if err != nil {
			return err
		}
		if _, err := socket.Write(append(line, '\n')); err != nil {
			return err
		}
	}
	return frame.Incomplete(data)
}

func (e *lineEcho) Closed(_ berth.Socket, closed *berth.Closed) { e.ends <- closed }

// protodelim reads from an io.Reader that is an io.ByteReader, and a Buffer is one.
func TestProtodelimReadsABufferThatHasTheWholeMessage(t *testing.T) {
	var stream strings.Builder
	for _, text := range []string{"hello", "", "world"} {
		_, err := protodelim.MarshalTo(&stream, wrapperspb.String(text))
		require.NoError(t, err)
	}
	b := newBuffer(stream.String())
	for _, want := range []string{"hello", "", "world"} {
		message := new(wrapperspb.StringValue)
		require.NoError(t, protodelim.UnmarshalFrom(b, message))
		require.Equal(t, want, message.Value)
	}
	require.Equal(t, io.EOF, protodelim.UnmarshalFrom(b, new(wrapperspb.StringValue)))

	b = newBuffer(stream.String()[:5])
	require.ErrorIs(t, protodelim.UnmarshalFrom(b, new(wrapperspb.StringValue)), io.ErrUnexpectedEOF)
	require.Zero(t, b.Len(), "what had come of the message is lost")

	// Both agree on what a frame is.
	d, b := frame.VarintPrefixed{}, newBuffer(stream.String())
	frames := 0
	for payload, err := range d.Frames(b) {
		require.NoError(t, err)
		require.LessOrEqual(t, len(payload), 7)
		frames++
	}
	require.Equal(t, 3, frames)
}
