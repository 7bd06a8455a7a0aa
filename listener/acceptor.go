package listener

import (
	"errors"
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// acceptor is the actor that owns the accept loop. It is a child of its own, so that its restart touches neither the
// listening socket nor any connection.
//
// The loop is a goroutine, because Accept blocks. It is started by Started, stopped by closing stop (and a deadline in the past,
// which frees a blocked Accept), joined by Stopping through done.
type acceptor struct {
	server *server
	stop   chan struct{}
	done   chan struct{}
}

// Receive implements actor.Actor.
func (a *acceptor) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		a.stop, a.done = make(chan struct{}), make(chan struct{})
		if a.server.mayLoop() {
			a.server.acceptUntil(time.Time{}) // counted already: a drain waits for us before it sets a deadline of its own
			go a.run()
		} else {
			close(a.done)
		}
	case *actor.Stopping, *actor.Restarting:
		close(a.stop)
		if a.server.kick() {
			<-a.done
			return
		}
		// A listener of the user's without deadlines stays in Accept. Then the loop ends after the next
		// accept, which it still serves, or with the listener.
	}
}

// run accepts until it is stopped or the listening socket is closed. No error of Accept ends it.
func (a *acceptor) run() {
	defer a.server.loops.Done()
	defer close(a.done)
	var wait backoff
	for kicks := a.server.kicks.Load(); a.server.mayAccept(a.stop); kicks = a.server.kicks.Load() {
		conn, err := a.server.nextClient()
		if err == nil {
			wait.reset()
			a.server.accepted(conn)
			continue
		}
		switch {
		case errors.Is(err, net.ErrClosed):
			a.server.lost(err)
			return
		case a.server.isKick(err, kicks):
			// A stop or a suspension wants to be noticed: mayAccept looks.
		default:
			a.pause(wait.next(), err)
		}
	}
}

// pause waits after a failed accept.
func (a *acceptor) pause(d time.Duration, err error) {
	a.server.acceptFailed(err, d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-a.stop:
	case <-a.server.closing:
	}
}
