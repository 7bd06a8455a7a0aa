package netconn

import (
	"fmt"
	"io"
	"net"
	"runtime/debug"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// Handler returns a factory that runs serve for each connection, on a goroutine of its own. The
// server's options should be those that Options returns.
//
// The connection's end is the error of the next Read or Write. When serve returns, its Conn is
// closed, if serve has not done that; what it wrote is still sent. If serve has given the
// connection to another handler, by a Become of the Conn's Socket, its return ends nothing. A panic
// in serve is the failure of the connection's handler: it closes that connection, with
// ReasonHandlerPanic and a *protocol.PanicError whose Value is a *Panic, and is published as every
// such failure. So is runtime.Goexit, with protocol.ErrGoexit.
//
// The goroutine is started by Accepted. It is joined before the connection's actor ends, also after
// a Become: a Shutdown of the server waits for serve, and names a connection whose serve does not
// return.
func Handler(serve func(conn net.Conn)) tcpactor.Factory {
	if serve == nil {
		return none{}
	}
	f := &factory{late: &functions{}}
	f.begin = func(c *Conn) <-chan struct{} {
		returned := make(chan struct{})
		go func() {
			defer f.late.remove(c.socket, returned)
			run(c, serve, returned)
		}()
		return returned
	}
	return f
}

// StreamHandler is Handler for a function that needs the two streams only: r returns io.EOF after
// the peer's last byte, and w waits for room.
func StreamHandler(serve func(r io.Reader, w io.Writer)) tcpactor.Factory {
	if serve == nil {
		return none{}
	}
	return Handler(func(conn net.Conn) { serve(conn, conn) })
}

// none is a factory without a function: Listen refuses it.
type none struct{}

// Open implements tcpactor.Factory.
func (none) Open() tcpactor.Receiver { return nil }

// Validate returns one sentence.
func (none) Validate() error { return fmt.Errorf("netconn: no function to serve: it is nil") }

// Panic is what a function of a Handler panicked with.
type Panic struct {
	Value any    // what it panicked with
	Stack []byte // the stack at the panic, as debug.Stack prints it
}

// Error names the value but not the stack.
func (p *Panic) Error() string { return fmt.Sprint(p.Value) }

// Unwrap returns the value if it is an error.
func (p *Panic) Unwrap() error {
	err, _ := p.Value.(error)
	return err
}

// run is the goroutine of one connection.
func run(c *Conn, serve func(net.Conn), returned chan<- struct{}) {
	defer close(returned)
	finished := false
	defer func() {
		switch value := recover(); {
		case finished:
			_ = c.Close() // it may be closed
		case value == nil:
			c.fail(protocol.ErrGoexit)
		default:
			c.fail(&Panic{value, debug.Stack()})
		}
	}()
	serve(c)
	finished = true
}

// fail has the connection's handler panic with reason, on the connection's turn: there it is
// caught, published, and closes the connection. After the connection's end, or once another handler
// has it, the panic is published all the same.
func (c *Conn) fail(reason error) {
	c.onTurn(func() {
		c.close()
		if c.isGiven() && c.engine != nil {
			c.engine.CallApart(func() { panic(reason) })
			return
		}
		panic(reason)
	})
}
