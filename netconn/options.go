package netconn

import (
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
)

// Defaults of Options.
const (
	readBufferSize  = 32 << 10
	writeBufferSize = 64 << 10
	closeTimeout    = 2 * time.Minute
)

// Options returns o with what a Conn needs, and with the defaults of a Conn where a field is 0.
// Listen and NewListener apply it by themselves; a server with Handler or StreamHandler should be
// given the result.
//
// It sets ReadGate GateOff, ReadMode Push, HoldFullReadBuffer and KeepOpenOnPeerClosed, and takes
// RestartHandler away. The defaults are a ReadBufferSize of 32 KiB, a WriteBufferSize of 64 KiB, a
// CloseTimeout of 2 minutes, and no WriteTimeout and HalfCloseTimeout. All other fields are as they
// were: IdleTimeout, ReadTimeout and MaxAge are off by default.
func Options(o listener.Options) listener.Options {
	c := &o.Connection
	c.ReadGate, c.ReadMode = connection.GateOff, connection.Push
	c.HoldFullReadBuffer, c.KeepOpenOnPeerClosed = true, true
	c.RestartHandler = connection.RestartHandler{}
	orDefault(&c.ReadBufferSize, readBufferSize)
	if c.WriteBufferSize == 0 {
		c.WriteBufferSize = max(writeBufferSize, c.ReadBufferSize)
	}
	orDefault(&c.WriteTimeout, -1)
	orDefault(&c.HalfCloseTimeout, -1)
	orDefault(&c.CloseTimeout, closeTimeout)
	return o
}

func orDefault[T int | time.Duration](field *T, standard T) {
	if *field == 0 {
		*field = standard
	}
}
