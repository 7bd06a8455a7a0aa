package berth_test

import (
	"context"
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
)

// A dialled connection has an event loop of its own; TestMain sees that it ends with it.
func TestADialledConnectionIsServedAndLeavesNothing(t *testing.T) {
	server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(echo), berth.Options{})
	require.NoError(t, err)
	defer server.Close()
	got := make(chan string, 1)
	socket, err := berth.Dial(t.Context(), server.Addr().String(), berth.HandlerFunc(func(s berth.Socket, data *berth.Buffer) error {
		got <- string(data.Bytes())
		return s.Close()
	}), berth.DialOptions{})
	require.NoError(t, err)
	_, err = socket.Write([]byte("hello"))
	require.NoError(t, err)
	assert.Equal(t, "hello", <-got)
}

func TestADialThatFailsLeavesNothing(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	socket, err := berth.Dial(t.Context(), l.Addr().String(), berth.HandlerFunc(echo), berth.DialOptions{})
	assert.ErrorContains(t, err, "refused")
	assert.Nil(t, socket)
}

func ExampleDial() {
	server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(func(s berth.Socket, data *berth.Buffer) error {
		_, err := s.Forward(data)
		return err
	}), berth.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()

	answer := make(chan string)
	socket, err := berth.Dial(context.Background(), server.Addr().String(), berth.HandlerFunc(func(_ berth.Socket, data *berth.Buffer) error {
		answer <- string(data.Bytes())
		data.Discard(data.Len())
		return nil
	}), berth.DialOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer socket.Abort()
	if _, err := socket.Write([]byte("hello")); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(<-answer)
	// Output: hello
}
