package listener

import (
	"fmt"
	"net"
	"os"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection/transport"
)

// streaming is the intake of the stream transport: accept loops at net.Listeners.
type streaming struct {
	server  *server
	sockets []atomic.Pointer[streamSocket] // by slot; nil: it is empty
}

func newStreaming(s *server, slots int) *streaming {
	return &streaming{server: s, sockets: make([]atomic.Pointer[streamSocket], slots)}
}

func (k *streaming) acceptor(number int) *actor.Props {
	slot := number % len(k.sockets)
	return actor.PropsFromProducer(func() actor.Actor { return &acceptor{streaming: k, slot: slot} },
		actor.WithDispatcher(k.server.pool), actor.WithMailbox(newMailbox))
}

func (k *streaming) put(slot int, generation uint64, l net.Listener) error {
	if err := setBuffers(l, k.server.options()); err != nil {
		return err
	}
	k.sockets[slot].Store(newStreamSocket(l, generation))
	return nil
}

func (k *streaming) take(slot int) {
	if socket := k.sockets[slot].Swap(nil); socket != nil {
		socket.close()
	}
}

// tune finds out whether the system takes the buffers' sizes, and offers them in the connections'
// handshakes. All other options are set when a connection has been accepted; see keep_alive.go.
func (k *streaming) tune(o *Options) (err error) {
	k.each(func(socket *streamSocket) {
		if err == nil {
			err = setBuffers(socket.listener, o)
		}
	})
	return err
}

func setBuffers(l net.Listener, o *Options) error {
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener: // what the descriptor of another type is, is not known
		if err := transport.SetBuffers(l, max(o.RecvBufferSize, 0), max(o.SendBufferSize, 0)); err != nil {
			return badBuffers(err)
		}
	}
	return nil
}

func badBuffers(err error) error {
	return fmt.Errorf("berth: the system refuses RecvBufferSize or SendBufferSize: %w", err)
}

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

func (k *streaming) unlink(slot int, unlinks bool) {
	if socket := k.sockets[slot].Load(); socket != nil {
		unlinkOnClose(socket.listener, unlinks)
	}
}

func unlinkOnClose(l net.Listener, unlinks bool) {
	if local, ok := l.(interface{ SetUnlinkOnClose(bool) }); ok {
		local.SetUnlinkOnClose(unlinks)
	}
}

// grow and shrink have nothing to do: an acceptor knows nothing but its slot.
func (k *streaming) grow(int) error { return nil }
func (k *streaming) shrink(int)     {}

// nudge and stop have nothing to do: the loops wait for channels that others close, and have ended
// when the acceptors have.
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
