package requests_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/requests"
)

// A pipeline of requests to a server that answers each line in capitals.
func Example() {
	server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(func(s berth.Socket, data *berth.Buffer) error {
		for {
			line, whole := data.ReadLine()
			if !whole {
				return nil
			}
			if _, err := s.Write(append(bytes.ToUpper(line), '\n')); err != nil {
				return err
			}
		}
	}), berth.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	pipeline := requests.NewPipeline(func() requests.Read[string] {
		lines := frame.Lines{Max: 1024}
		return func(b *berth.Buffer) (string, error) {
			line, err := lines.Next(b)
			return string(line), err
		}
	}, nil, requests.Options{})
	socket, err := berth.Dial(context.Background(), server.Addr().String(), pipeline.Handler(nil), berth.DialOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer socket.Abort()
	for _, request := range []string{"one", "two"} {
		answer, err := pipeline.Do(context.Background(), []byte(request+"\n"))
		fmt.Println(answer, err)
	}
	// Output:
	// ONE <nil>
	// TWO <nil>
}

// Remote procedure calls: a frame is a length of 4 bytes, an identifier of 8, and a text. The
// server answers in capitals. Requests and answers may have 100 KB, so the client's WriteBufferSize
// is more than the default of 32 KiB, and the server writes with WriteContext.
func ExampleMux() {
	prefix := &frame.LengthPrefixed{Width: 4, Strip: 4, Max: 100_000} // no state: one for all
	encode := func(id uint64, text []byte) ([]byte, error) {
		message, err := prefix.AppendHeader(nil, 8+len(text))
		return append(binary.BigEndian.AppendUint64(message, id), text...), err
	}
	errShort := errors.New("a frame without an identifier")

	newDecoder := func() frame.Decoder { return prefix }
	handler := berth.HandlerFunc(func(s berth.Socket, request *berth.Buffer) error {
		if request.Len() < 8 {
			return errShort
		}
		id := binary.BigEndian.Uint64(request.Next(8))
		answer, err := encode(id, bytes.ToUpper(request.Next(request.Len())))
		if err != nil {
			return err
		}
		_, err = s.WriteContext(context.Background(), answer)
		return err
	})
	server, err := berth.Listen("127.0.0.1:0", berth.Frames(newDecoder, handler), berth.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	mux := requests.NewMux(func() requests.ReadID[uint64, string] {
		return func(b *berth.Buffer) (uint64, string, error) {
			answer, err := prefix.Next(b)
			switch {
			case err != nil:
				return 0, "", err
			case len(answer) < 8:
				return 0, "", errShort
			}
			return binary.BigEndian.Uint64(answer), string(answer[8:]), nil
		}
	}, nil, requests.Options{})
	options := berth.DialOptions{Connection: &berth.ConnectionOptions{WriteBufferSize: 100_000}}
	socket, err := berth.Dial(context.Background(), server.Addr().String(), mux.Handler(nil), options)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer socket.Abort()
	for id, text := range [][]byte{[]byte("one"), bytes.Repeat([]byte("two"), 30_000)} {
		request, err := encode(uint64(id), text)
		if err != nil {
			fmt.Println(err)
			return
		}
		answer, err := mux.Do(context.Background(), uint64(id), request)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(answer[:3], len(answer))
	}
	// Output:
	// ONE 3
	// TWO 90000
}
