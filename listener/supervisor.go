package listener

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// supervisor is the actor at the top of a listener, and what the user's own tree sees of it:
//
//	supervisor ─┬─ acceptor      the accept loop
//	            └─ connections ─── connection ─── writer, for every socket
//
// It keeps nothing itself: what must survive a restart of it lies in the server.
type supervisor struct{ server *server }

// Receive implements actor.Actor.
func (s *supervisor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		s.server.start(ctx)
	case *protocol.SuspendAccepting:
		s.server.suspend(true)
	case *protocol.ResumeAccepting:
		s.server.suspend(false)
	case *protocol.GetInfo:
		info := s.server.info()
		ctx.Respond(&info)
	case *protocol.Shutdown:
		s.server.stopBy(m.Deadline)
		ctx.Stop(ctx.Self())
	case *actor.Stopping:
		// Whoever stops us, a handle, a message or the parent: draining is the same. It blocks here, because
		// Proto.Actor takes the return for the end; the connections end on turns of their own.
		s.server.drain()
	case *actor.Stopped:
		close(s.server.stopped)
	}
}

// connections is the parent of all connections. They are not in its child set: that would keep 860 bytes of each one for ever;
// the server's own list serves their end. Their failures come here and stop them, one by one.
type connections struct{ server *server }

// Receive implements actor.Actor.
func (c *connections) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*actor.Terminated); ok {
		c.server.left()
	}
}

// stopFailing stops a failed child and leaves its siblings alone.
var stopFailing = actor.NewOneForOneStrategy(0, 0, func(any) actor.Directive { return actor.StopDirective })

// restartFailing restarts a failed acceptor, and gives up on one that fails ten times in ten seconds.
var restartFailing = actor.NewOneForOneStrategy(10, 10*time.Second, func(any) actor.Directive { return actor.RestartDirective })
