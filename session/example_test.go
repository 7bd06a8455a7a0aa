package session_test

import (
	"context"
	"fmt"

	"github.com/go-berth/berth/session"
)

// A client loses its connection with one message on its way, and goes on over another.
func Example() {
	ctx := context.Background()
	sessions := session.New(session.NewMemory(session.MemoryOptions{}), session.Options{})

	one, welcome, _ := sessions.Open(ctx)
	client := session.NewClient(welcome, session.Limits{})
	_, _ = one.Send(ctx, []byte("first"))
	_, _ = client.Receive(1)               // the client has "first"
	_, _ = one.Send(ctx, []byte("second")) // lost with the connection
	_, _ = client.Send([]byte("hello"))    // lost too
	_ = one.Release(ctx)

	one, resumed, _ := sessions.Resume(ctx, client.Token, client.Epoch, client.Handled())
	again, _, _ := client.Resumed(resumed)
	fmt.Println("recovered:", resumed.Recovered)
	for _, message := range resumed.Again {
		fmt.Printf("to the client: %d %s\n", message.Number, message.Data)
	}
	for _, message := range again {
		_, _ = one.Deliver(ctx, message.Number, func() { fmt.Printf("to the handler: %d %s\n", message.Number, message.Data) })
	}
	_ = one.Close(ctx)
	// Output:
	// recovered: true
	// to the client: 2 second
	// to the handler: 1 hello
}
