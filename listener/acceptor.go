package listener

import (
	"errors"
	"net"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/internal/seam"
)

// acceptor is the actor that owns an accept loop. It is a child of its own, so that its restart
// leaves the listening socket and all connections alone.
//
// The loop is a goroutine, because Accept blocks. Started starts it. It is stopped by closing stop
// and by calling it back from Accept. Stopping joins it through done.
type acceptor struct {
	*streaming
	slot int
	self *actor.PID
	stop chan struct{}
	done chan struct{}

	wait backoff       // the loop's own, as lost is
	lost *streamSocket // closed by other code, to be replaced
}

// failed tells an acceptor that its loop has ended by a panic.
type failed struct {
	acceptor *acceptor
	err      error
}

// Receive implements actor.Actor.
func (a *acceptor) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		a.self, a.stop, a.done = ctx.Self(), make(chan struct{}), make(chan struct{})
		if a.server.enter() {
			seam.Go(a.run)
		} else {
			close(a.done)
		}
	case *failed:
		if m.acceptor == a { // not one from before a restart
			panic(m.err) // which is how an actor fails: its supervisor decides
		}
	case *actor.Stopping, *actor.Restarting:
		close(a.stop)
		socket := a.sockets[a.slot].Load()
		if socket == nil {
			a.join()
		} else if socket.hold() {
			a.join()
			socket.release()
		}
		// Otherwise the listener is one of the user's that stays in Accept. Then the loop ends
		// after the next accept, whose client is still served, or with the listener.
	}
}

func (a *acceptor) join() {
	wait := seam.Wait()
	<-a.done
	wait.Over()
}

// run accepts until it is stopped or accepting has ended. No error of Accept ends it. A panic of
// the user's Accept does, or a runtime.Goexit; then the acceptor fails.
func (a *acceptor) run() {
	defer a.server.leave()
	defer close(a.done)
	finished := false
	defer func() {
		if !finished {
			a.server.system.Root.Send(a.self, &failed{a, panicked(recover(), debug.Stack())})
		}
	}()
	for a.server.goesOn(a.stop) {
		if err := a.next(); err != nil && !a.failed(err) {
			break
		}
	}
	finished = true
}

// next accepts one connection, or opens the lost socket again. It also returns nil if it was called
// back.
func (a *acceptor) next() error {
	socket := a.sockets[a.slot].Load()
	switch {
	case socket == nil:
		return a.server.reopen(a.slot, 0)
	case socket == a.lost:
		return a.server.reopen(a.slot, socket.generation)
	}
	free, called := socket.state()
	wait := seam.Wait()
	select {
	case <-free:
	case <-a.stop:
	case <-a.server.closing:
	}
	wait.Over()
	if ended(a.stop) || a.server.shutDown() {
		return nil
	}
	if !a.server.admission.Await(a.stop) || a.server.mode.Load() != accepting {
		return nil
	}
	if conn := a.server.held.pop(); conn != nil {
		a.server.accepted(conn)
		return nil
	}
	conn, err := socket.accept()
	if err != nil {
		if socket.ours(err, called) {
			return nil // goesOn finds out why
		}
		if classify(err) == AcceptSocketLost && a.server.bind != nil {
			a.lost = socket
		}
		return err
	}
	a.server.acceptCount.Add(1)
	a.wait.reset()
	if conn = a.server.lateClient(conn); conn != nil {
		a.server.accepted(conn)
	}
	return nil
}

// failed waits after a failed accept. It returns false if the socket is lost for good.
func (a *acceptor) failed(err error) bool {
	if a.server.bind == nil && errors.Is(err, net.ErrClosed) {
		a.server.lost(a.slot, err)
		return false
	}
	d := a.wait.next()
	a.server.acceptFailed(err, d)
	timer := time.NewTimer(d)
	defer timer.Stop()
	wait := seam.Wait()
	select {
	case <-timer.C:
	case <-a.stop:
	case <-a.server.closing:
	}
	wait.Over()
	return true
}
