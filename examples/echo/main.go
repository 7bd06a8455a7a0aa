// Echo sends back what it gets. It shows a whole server: options from flags, events as log records,
// a drain on the first signal and an abort on the second.
//
//	go run ./examples/echo
//	nc 127.0.0.1 7000
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-berth/berth"
)

// echo is the handler: one value for each connection.
type echo struct {
	sleep time.Duration // before a chunk that begins with "sleep"
	burn  time.Duration // of the processor, before every chunk
}

// Data gives all bytes back. Forward hands the memory over instead of copying it. A call may block:
// no other connection waits for it.
func (e echo) Data(socket berth.Socket, buffer *berth.Buffer) error {
	if e.sleep > 0 && bytes.HasPrefix(buffer.Bytes(), []byte("sleep")) {
		time.Sleep(e.sleep)
	}
	if e.burn > 0 { // else no clock is read: this program is measured
		for began := time.Now(); time.Since(began) < e.burn; {
			continue // a handler that computes
		}
	}
	_, err := socket.Forward(buffer)
	return err
}

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	first, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	logger := slog.New(slog.NewTextHandler(stderr, nil))
	slog.SetDefault(logger) // warnings of the actor system go there
	berth.Log(nil, logger)

	reload, err := c.secure()
	if err != nil {
		return err
	}
	if reload != nil {
		stop := reloadOn(reload, logger)
		defer stop()
	}
	handler := berth.Handlers(func() berth.Handler { return echo{sleep: c.sleep, burn: c.burn} })
	if c.inspect != "" {
		handler = berth.Measure(handler, nil) // the pages show the time of its calls
	}
	pages, err := pagesAt(c.inspect)
	if err != nil {
		return err
	}
	server, err := berth.Listen(c.addr, handler, c.options)
	if err != nil {
		return err
	}
	stopPages, err := inspect(pages, c.actions, server, logger)
	if err != nil {
		return errors.Join(err, server.Close())
	}
	defer stopPages()
	fmt.Fprintf(stdout, "listening on %s\n", server.Addr())

	select {
	case <-first.Done():
	case <-server.Done():
		return errors.New("echo: the listener has stopped")
	}
	second, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return server.Shutdown(second) // drains; cancelled, it aborts
}
