package simnet_test

import (
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/go-berth/berth/test/simnet"
)

// A server that closes without having read all of its input cuts its own reply short.
func Example() {
	client, server := simnet.Pipe(simnet.Options{BufferSize: 16, Window: 8})
	_, _ = io.WriteString(client, "QUIT\r\n")
	_, _ = io.WriteString(server, "+OK goodbye\r\n")
	_ = server.Close()

	reply, err := io.ReadAll(client)
	fmt.Printf("%q reset=%t\n", reply, errors.Is(err, syscall.ECONNRESET))
	// Output: "+OK good" reset=true
}

// After CloseWrite the connection is open in the other direction.
func ExampleConn_CloseWrite() {
	client, server := simnet.Pipe(simnet.Options{})
	_, _ = io.WriteString(client, "request")
	_ = client.CloseWrite()

	request, _ := io.ReadAll(server)
	_, _ = fmt.Fprintf(server, "%d bytes", len(request))
	_ = server.Close()

	reply, err := io.ReadAll(client)
	fmt.Println(string(reply), err)
	// Output: 7 bytes <nil>
}
