package main

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/go-berth/berth"
)

// proxy makes the handlers.
type proxy struct {
	to      string
	timeout time.Duration
	server  *berth.Server
	ready   chan struct{} // closed once server is set
}

func newProxy(to string, timeout time.Duration) *proxy {
	return &proxy{to: to, timeout: timeout, ready: make(chan struct{})}
}

func (p *proxy) handlers() berth.Factory {
	return berth.Handlers(func() berth.Handler { return &accepted{proxy: p} })
}

// use says which server dials. Clients that it has accepted by then wait for it.
func (p *proxy) use(server *berth.Server) {
	p.server = server
	close(p.ready)
}

// dial opens the second connection of a client. It runs on the server's event loops, as the first
// one does, and has the same options.
func (p *proxy) dial(client berth.Socket) (berth.Socket, error) {
	<-p.ready
	handler := berth.Handlers(func() berth.Handler { return &dialled{end{other: client}} })
	return p.server.Dial(context.Background(), p.to, handler, berth.DialOptions{Dialer: net.Dialer{Timeout: p.timeout}})
}

// end handles one of two connections: what comes on it goes to the other one.
type end struct {
	other berth.Socket
}

// Data forwards all bytes. Where the other connection has no room for them, because its peer is
// slow, this one is paused: then its own peer has to wait too.
func (e *end) Data(socket berth.Socket, data *berth.Buffer) error {
	socket.Pause() // first, as the other's Writable may come before this call has returned
	_, err := e.other.Forward(data)
	if errors.Is(err, berth.ErrWriteQueueFull) || errors.Is(err, berth.ErrWriteBufferFull) || errors.Is(err, berth.ErrMemoryBudget) {
		return nil // the bytes stay, and lead the next Data
	}
	socket.Resume()
	return err
}

// Writable comes once there is room on this connection after a refusal: the other one goes on.
func (e *end) Writable(_ berth.Socket, ready bool) error {
	if ready {
		e.other.Resume()
	}
	return nil
}

// PeerClosed comes behind the last Data of the peer. The other direction goes on.
func (e *end) PeerClosed(berth.Socket) error {
	e.other.CloseWrite() // sends what is pending, then a FIN
	return nil
}

// accepted handles the connection of a client.
type accepted struct {
	end
	proxy *proxy
}

// Accepted dials. It may block: only this client waits, and no Data comes meanwhile.
func (a *accepted) Accepted(client berth.Socket) (err error) {
	a.other, err = a.proxy.dial(client)
	return err
}

// dialled handles the connection to the other server.
type dialled struct {
	end
}

// Accepted ties the ends of the two connections: one that is closed closes the other, one that is
// reset resets the other.
func (d *dialled) Accepted(socket berth.Socket) error {
	socket.Link(d.other.PID())
	return nil
}
