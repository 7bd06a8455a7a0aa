package requests_test

import (
	"bytes"
	"context"
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
