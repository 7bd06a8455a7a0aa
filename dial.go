package berth

import (
	"context"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// Dialer opens outgoing connections that run as those of a Server do.
type Dialer = listener.Dialer

// DialOptions are those of one outgoing connection.
type DialOptions = listener.DialOptions

// Connect asks a Dialer or a Server by its PID for an outgoing connection: Dial as a message, for
// actors. The answer is Connected or ConnectFailed.
type Connect = listener.Connect

// The answers to a Connect. They come to its sender as pointers, with the Ack of the Connect.
type (
	// Connected says that the connection is open.
	Connected = protocol.Connected
	// ConnectFailed says why there is none.
	ConnectFailed = protocol.ConnectFailed
)

// Dial opens a connection to addr ("host:port", with Network "unix" a path) that runs as those of a
// Server do: its handler is called one event at a time, and may block. Dial returns once the
// connection is open, over TLS once the handshake is done, and Accepted has returned; its error is
// Dial's. Otherwise the error says why the connection is not open; it is package net's where the
// socket could not be opened. ctx bounds the dial, not the connection.
//
// The connection has an event loop of its own, which ends with it. A program that opens many makes
// a Dialer, or calls Dial of its Server. Any goroutine may call Dial, handlers included.
func Dial(ctx context.Context, addr string, handler Factory, options DialOptions) (Socket, error) {
	dialer, err := NewDialer(Options{Workers: 1})
	if err != nil {
		return nil, err
	}
	socket, err := dialer.Dial(ctx, addr, handler, options)
	if err != nil {
		_ = dialer.Close()
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	go func() { // ends with the connection
		_ = dialer.WaitConnections(ctx, func(open int) bool { return open == 0 })
		_ = dialer.Close()
	}()
	return socket, nil
}

// NewDialer returns a Dialer in the actor system of this package, with event loops of its own. Of
// the options those count that are about connections; any other one is an error.
func NewDialer(options Options) (*Dialer, error) { return NewDialerIn(ownSystem().Root, options) }

// NewDialerIn is to NewDialer what ListenIn is to Listen.
func NewDialerIn(spawner actor.SpawnerContext, options Options) (*Dialer, error) {
	return listener.NewDialer(spawner, options)
}
