// Echo sends back what it gets. It shows a whole server: options from flags, events as log records,
// a drain on the first signal and an abort on the second.
//
//	go run ./examples/echo
//	nc 127.0.0.1 7000
package main

import (
	"bytes"
	"errors"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/internal/cli"
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

func main() { cli.Run("echo", run) }

func run(p *cli.Program) error {
	c, err := parse(p)
	if err != nil {
		return err
	}
	reload, err := c.secure(p)
	if err != nil {
		return err
	}
	if reload != nil {
		stop := p.ReloadOnHangup(reload)
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
	stopPages, err := inspect(pages, c.actions, server, p.Log)
	if err != nil {
		return errors.Join(err, server.Close())
	}
	defer stopPages()
	return p.Serve(server) // drains on the first signal, aborts on the second
}
