package reconnect_test

import (
	"context"
	"fmt"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/reconnect"
)

// A client writes before its connection is open, and learns what became of the write.
func Example() {
	server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(func(s berth.Socket, data *berth.Buffer) error {
		_, err := s.Forward(data)
		return err
	}), berth.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	dialer, err := berth.NewDialer(berth.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer dialer.Close()

	echoed := make(chan string, 1)
	client, err := reconnect.New(context.Background(), dialer, server.Addr().String(),
		berth.HandlerFunc(func(_ berth.Socket, data *berth.Buffer) error {
			if data.Len() < len("hello") {
				return nil
			}
			echoed <- string(data.Next(data.Len()))
			return nil
		}), reconnect.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome := make(chan reconnect.Outcome, 1)
	err = client.Send(reconnect.Write{Data: []byte("hello"), Done: func(o reconnect.Outcome, _ error) { outcome <- o }})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-outcome)
	fmt.Println(<-echoed)
	_ = client.Close()
	<-client.Done()
	fmt.Println(client.State())
	// Output:
	// written
	// hello
	// closed
}
