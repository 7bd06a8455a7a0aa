package listener

import (
	"net"
	"os"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
)

// streaming is the intake of the stream transport: accept loops at net.Listeners.
type streaming struct {
	server  *server
	sockets []atomic.Pointer[streamSocket] // by place; nil: it is empty
}

func newStreaming(s *server, places int) *streaming {
	return &streaming{server: s, sockets: make([]atomic.Pointer[streamSocket], places)}
}

func (k *streaming) acceptor(number int) *actor.Props {
	place := number % len(k.sockets)
	return actor.PropsFromProducer(func() actor.Actor { return &acceptor{streaming: k, place: place} },
		actor.WithDispatcher(k.server.pool))
}

func (k *streaming) put(place int, generation uint64, l net.Listener) error {
	k.sockets[place].Store(newStreamSocket(l, generation))
	return nil
}

func (k *streaming) take(place int) {
	if socket := k.sockets[place].Swap(nil); socket != nil {
		socket.close()
	}
}

// tune has nothing to do: each connection is tuned when it has been accepted.
func (k *streaming) tune(*Options) error { return nil }

func (k *streaming) halt()    { k.each(func(socket *streamSocket) { socket.halt(true) }) }
func (k *streaming) proceed() { k.each(func(socket *streamSocket) { socket.halt(false) }) }
func (k *streaming) backlog() { k.each(k.server.acceptBacklog) }

func (k *streaming) files() (files []*os.File, err error) {
	k.each(func(socket *streamSocket) {
		file, problem := duplicate(socket.listener)
		if problem != nil {
			err = problem
			return
		}
		files = append(files, file)
	})
	if err != nil {
		closeFiles(files)
		return nil, err
	}
	return files, nil
}

func (k *streaming) unlink(place int, unlinks bool) {
	if socket := k.sockets[place].Load(); socket != nil {
		unlinkOnClose(socket.listener, unlinks)
	}
}

func unlinkOnClose(l net.Listener, unlinks bool) {
	if local, ok := l.(interface{ SetUnlinkOnClose(bool) }); ok {
		local.SetUnlinkOnClose(unlinks)
	}
}

// nudge and stop have nothing to do: the loops wait for channels that others close, and have ended when the acceptors have.
func (k *streaming) nudge() {}
func (k *streaming) stop()  {}

func (k *streaming) letGo() {
	for conn := k.server.held.pop(); conn != nil; conn = k.server.held.pop() {
		_ = conn.Close()
	}
}

func (k *streaming) each(do func(*streamSocket)) {
	for i := range k.sockets {
		if socket := k.sockets[i].Load(); socket != nil {
			do(socket)
		}
	}
}
