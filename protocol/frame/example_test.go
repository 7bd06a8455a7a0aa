package frame_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
)

// session is the state of one connection.
type session struct {
	lines frame.Lines
	count int
}

// Data answers each line with its number.
func (s *session) Data(socket berth.Socket, data *berth.Buffer) error {
	for line, err := range s.lines.Frames(data) {
		if err != nil {
			return err
		}
		s.count++
		if _, err := fmt.Fprintf(socket, "%d: %s\n", s.count, line); err != nil {
			return err
		}
	}
	return frame.Incomplete(data)
}

// A server of lines of at most 512 bytes.
func Example() {
	const longest = 512
	handler := berth.Handlers(func() berth.Handler { return &session{lines: frame.Lines{Max: longest}} })
	server, err := berth.Listen("127.0.0.1:0", handler, berth.Options{
		Connection: berth.ConnectionOptions{ReadBufferSize: longest},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Shutdown(context.Background()) }()

	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "hello\r\nworld\n")
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(conn)
	fmt.Printf("%s%v\n", answer, err)
	// Output:
	// 1: hello
	// 2: world
	// <nil>
}

// A length of 2 bytes in front. Header and payload of an answer are one slice, for one write: a
// handler gives it to Socket.WriteOwned.
func ExampleLengthPrefixed() {
	messages := &frame.LengthPrefixed{Width: 2, Strip: 2}
	data := protocol.NewBuffer([]byte("\x00\x05hello\x00\x05world\x00\x05inc"))
	for message, err := range messages.Frames(data) {
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, err := messages.AppendHeader(nil, len(message))
		if err != nil {
			fmt.Println(err)
			return
		}
		answer = append(answer, message...)
		fmt.Printf("%q\n", answer)
	}
	fmt.Printf("%q stays\n", data.Bytes())
	// Output:
	// "\x00\x05hello"
	// "\x00\x05world"
	// "\x00\x05inc" stays
}

// A client that speaks another protocol.
func ExampleTooLongError() {
	messages := &frame.LengthPrefixed{Width: 4, Strip: 4}
	_, err := messages.Next(protocol.NewBuffer([]byte("GET / HTTP/1.1\r\n\r\n")))
	fmt.Println(errors.Is(err, frame.ErrTooLong))
	if long, is := errors.AsType[*frame.TooLongError](err); is {
		fmt.Printf("%d bytes: looks like %s\n", long.Length, long.Hint)
	}
	// Output:
	// true
	// 1195725860 bytes: looks like HTTP
}

// Messages of protobuf with a varint in front. protodelim.UnmarshalFrom reads a Buffer too, once a
// message has come whole: see the example Protodelim.
func ExampleVarintPrefixed() {
	var stream []byte
	messages := &frame.VarintPrefixed{}
	for _, text := range []string{"hello", "world"} {
		message := wrapperspb.String(text)
		stream, _ = messages.AppendHeader(stream, proto.Size(message))
		stream, _ = proto.MarshalOptions{}.MarshalAppend(stream, message)
	}
	data := protocol.NewBuffer(stream[:len(stream)-1])
	for payload, err := range messages.Frames(data) {
		if err != nil {
			fmt.Println(err)
			return
		}
		message := new(wrapperspb.StringValue)
		if err := proto.Unmarshal(payload, message); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(message.Value)
	}
	fmt.Println(data.Len(), "bytes stay")
	// Output:
	// hello
	// 7 bytes stay
}

// A message of SMTP ends with a line that has a dot alone (RFC 5321 section 4.5.2).
func ExampleDelimited() {
	message := frame.Delimited{Delimiter: "\r\n.\r\n", Max: 1 << 20}
	data := protocol.NewBuffer([]byte("Subject: hello\r\n\r\nworld\r\n.\r\nQUIT\r\n"))
	text, err := message.Next(data)
	fmt.Printf("%q %v\n", text, err)
	fmt.Printf("%q stays\n", data.Bytes())
	// Output:
	// "Subject: hello\r\n\r\nworld" <nil>
	// "QUIT\r\n" stays
}

// Syslog in the one framing and in the other.
func ExampleSyslog() {
	var messages frame.Syslog
	data := protocol.NewBuffer([]byte("<13>one\n12 <13>two\nmore<13>three\n"))
	for message, err := range messages.Frames(data) {
		fmt.Printf("%q %v\n", message, err)
	}
	// Output:
	// "<13>one" <nil>
	// "<13>two\nmore" <nil>
	// "<13>three" <nil>
}

// Any function for a bufio.Scanner will do.
func ExampleSplit() {
	words := frame.Split{Func: bufio.ScanWords}
	data := protocol.NewBuffer([]byte("set answer 42\nget ans"))
	for word, err := range words.Frames(data) {
		fmt.Printf("%s %v\n", word, err)
	}
	fmt.Printf("%q stays\n", data.Bytes())
	// Output:
	// set <nil>
	// answer <nil>
	// 42 <nil>
	// get <nil>
	// "ans" stays
}

// What a peer left unfinished before its FIN.
func ExampleIncomplete() {
	data := new(protocol.Buffer)
	(*protocol.Source)(data).Attach([]byte("one\ntwo"), nil, true) // as after a FIN
	var lines frame.Lines
	for line, err := range lines.Frames(data) {
		fmt.Printf("%s %v\n", line, err)
	}
	err := frame.Incomplete(data)
	fmt.Println(err)
	fmt.Println(errors.Is(err, io.ErrUnexpectedEOF))
	// Output:
	// one <nil>
	// berth: the stream ended inside a frame, after 3 bytes of it
	// true
}

// A frame per call of a handler is Next instead of Frames.
func ExampleDecoder() {
	var decoder frame.Decoder = &frame.Fixed{Size: 4}
	data := protocol.NewBuffer([]byte("\x00\x00\x00\x01\x00\x00\x00\x02\x00"))
	for {
		payload, err := decoder.Next(data)
		if errors.Is(err, frame.ErrIncomplete) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(binary.BigEndian.Uint32(payload))
	}
	// Output:
	// 1
	// 2
}

// Octet counting for a collector that takes it.
func ExampleOctetCounted_AppendHeader() {
	message := "<13>1 2026-01-02T03:04:05Z host app - - - hello"
	p, err := new(frame.OctetCounted).AppendHeader(nil, len(message))
	fmt.Printf("%s%s %v\n", p, message, err)
	// Output: 47 <13>1 2026-01-02T03:04:05Z host app - - - hello <nil>
}

// Messages of protobuf, read by protodelim from the Buffer and written by it to the Socket as they
// are. Need has the handler called once a message is whole, also one that is longer than the read
// buffer.
func Example_protodelim() {
	handler := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		for data.Len() > 0 {
			size, n := binary.Uvarint(data.Bytes())
			switch whole := n + int(size); {
			case n <= 0:
				return data.Need(data.Len() + 1)
			case data.Len() < whole:
				return data.Need(whole) // an error if it is more than MaxReadBufferSize
			}
			message := new(wrapperspb.StringValue)
			if err := protodelim.UnmarshalFrom(data, message); err != nil {
				return err
			}
			if _, err := protodelim.MarshalTo(socket, wrapperspb.Int64(int64(len(message.Value)))); err != nil {
				return err
			}
		}
		return nil
	})
	server, err := berth.Listen("127.0.0.1:0", handler, berth.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Shutdown(context.Background()) }()

	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }()
	answers := bufio.NewReader(conn)
	for _, text := range []string{"hello", strings.Repeat("long ", 20_000)} {
		_, _ = protodelim.MarshalTo(conn, wrapperspb.String(text))
		length := new(wrapperspb.Int64Value)
		err := protodelim.UnmarshalFrom(answers, length)
		fmt.Println(length.Value, err)
	}
	// Output:
	// 5 <nil>
	// 100000 <nil>
}

// One frame in each call, in a handler of any form.
func Example_oneFrameInEachCall() {
	lines := func() frame.Decoder { return &frame.Lines{Max: 512} }
	handler := berth.Frames(lines, berth.HandlerFunc(func(socket berth.Socket, line *berth.Buffer) error {
		_, err := fmt.Fprintf(socket, "%d bytes\n", line.Len())
		return err
	}))
	server, err := berth.Listen("127.0.0.1:0", handler, berth.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = server.Shutdown(context.Background()) }()

	conn, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "hello\nfine world\n")
	_ = conn.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(conn)
	fmt.Printf("%s%v\n", answer, err)
	// Output:
	// 5 bytes
	// 10 bytes
	// <nil>
}
