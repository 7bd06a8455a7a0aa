// Functions counts lines. It shows the ancestor's form: three functions, accept, read and close,
// that thread a state of a type of your own from one call to the next, so that no handler needs a
// field, a lock or a map of connections.
//
//	go run ./examples/functions
//	nc 127.0.0.1 7001
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-berth/berth"
)

// count is the state: a plain value, one per connection.
type count struct{ lines, bytes int }

// accept makes the first state.
func accept(socket berth.Socket) (count, error) {
	_, err := fmt.Fprintln(socket, "type lines, and a dot to end")
	return count{}, err
}

// read takes every complete line and returns the next state. What comes after the last line end
// stays in the buffer and leads the next call. The answers go out as one write, so a burst of short
// lines takes one place in the write queue. That write waits for room: the answers may be longer
// than WriteBufferSize. An error ends the connection, with it as the reason.
func read(c count, socket berth.Socket, buffer *berth.Buffer) (count, error) {
	var answer bytes.Buffer
	end := false
	for {
		line, ok := buffer.ReadLine()
		if !ok {
			break
		}
		if string(line) == "." {
			fmt.Fprintf(&answer, "%d lines, %d bytes\n", c.lines, c.bytes)
			end = true
			break
		}
		c.lines++
		c.bytes += len(line)
		fmt.Fprintf(&answer, "%d: %s\n", c.lines, line)
	}
	_, err := socket.WriteContext(context.Background(), answer.Bytes())
	if end {
		_ = socket.Close() // flushes first
	}
	return c, err
}

// ended gets the last state, whatever ended the connection.
func ended(c count, closed *berth.Closed) {
	log.Printf("%s after %d lines, error: %v", closed.Reason, c.lines, closed.Err)
}

func main() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	addr := flag.String("addr", "127.0.0.1:7001", "address to listen on")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	handler := berth.Functions[count]{Accept: accept, Read: read, Close: ended}
	options := berth.Options{Connection: berth.ConnectionOptions{IdleTimeout: 5 * time.Minute}}
	server, err := berth.Listen(*addr, handler, options)
	if err != nil {
		return err
	}
	fmt.Println("listening on", server.Addr())
	<-ctx.Done()
	return server.Shutdown(context.Background())
}
