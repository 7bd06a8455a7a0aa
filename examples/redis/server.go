package main

import (
	"sync/atomic"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/redis/resp"
)

// server is what all sessions have in common.
type server struct {
	store    *store
	channels *channels
	limits   resp.Limits
	began    time.Time

	clients   atomic.Int64 // connected now
	ids       atomic.Int64 // connected ever
	processed atomic.Int64 // commands
}

func newServer(limits resp.Limits) *server {
	return &server{store: newStore(), channels: newChannels(), limits: limits, began: time.Now()}
}

// handlers makes a session for each connection.
func (s *server) handlers() berth.Factory {
	return berth.Handlers(func() berth.Handler {
		s.clients.Add(1)
		return &session{server: s, id: s.ids.Add(1), requests: resp.Parser{Limits: s.limits}}
	})
}

// connectionOptions are for clients that pipeline: much is read at once, and replies wait.
//
// A client may send a long pipeline before it reads the first reply. A server that stops reading
// until its replies have gone out, as Berth does by default, and such a client would wait for each
// other for ever. So reading goes on while up to pending bytes of replies wait for the client. As
// many again may come of the commands that were read by then; more than that waits, see
// session.flush.
func connectionOptions(pending int, idle time.Duration) berth.ConnectionOptions {
	return berth.ConnectionOptions{
		ReadBufferSize:  64 << 10,
		WriteBufferSize: 2 * pending,
		LowWater:        pending,
		ReadGate:        berth.GateLowWater,
		WriteQueueSize:  1 << 16, // a write may be the reply to one command
		IdleTimeout:     idle,
	}
}
