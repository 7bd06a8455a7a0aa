//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"crypto/tls"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/internal/seam"
)

// polling is the poll transport of one listener: poll sets, each with the event loop that polls it
// and runs the actors, and the intake: acceptors that are dealt out to the loops, each with a
// descriptor of its own for its listening socket.
type polling struct {
	server *server
	loops  []loop
	list   atomic.Pointer[[]*pollAcceptor] // see acceptors
	dealt  atomic.Uint64                   // connections dealt out to the loops, in turn

	mu   sync.Mutex
	kept []net.Listener // by slot: what must stay open as long as the socket
}

type loop struct {
	*tcpactor.EventLoop
	set *transport.PollSet
}

// pollerOf returns set itself, except where a test decides what runs next.
func pollerOf(set *transport.PollSet) tcpactor.Poller {
	if order := seam.Current(); order != nil {
		return inOrder{set, order}
	}
	return set
}

// inOrder is a poll set on which nothing in the process sleeps: the scheduler asks it.
type inOrder struct {
	*transport.PollSet
	order seam.Scheduler
}

// Wait implements tcpactor.Poller.
func (o inOrder) Wait(block bool) (n int) {
	if !block {
		return o.PollSet.Wait(false)
	}
	o.order.Until(func() bool {
		n = o.PollSet.Wait(false)
		return n > 0
	})
	return n
}

// newPolling fails if the process has no descriptor left. Then it leaves nothing open.
func newPolling(s *server, acceptors, slots int) (*polling, error) {
	p := &polling{server: s, kept: make([]net.Listener, slots)}
	for range s.options().EventLoops {
		set, err := transport.NewPollSet()
		if err != nil {
			p.close()
			return nil, err
		}
		p.loops = append(p.loops, loop{tcpactor.NewEventLoop(pollerOf(set), max(1, s.options().Workers/s.options().EventLoops)), set})
	}
	var all []*pollAcceptor
	for number := range acceptors {
		all = append(all, p.newAcceptor(number))
	}
	p.list.Store(&all)
	return p, nil
}

func (p *polling) newAcceptor(number int) *pollAcceptor {
	return &pollAcceptor{polling: p, loop: p.loops[number%len(p.loops)], slot: number % len(p.kept)}
}

// acceptors returns all acceptors. The list is replaced as a whole when their number changes.
func (p *polling) acceptors() []*pollAcceptor {
	if all := p.list.Load(); all != nil {
		return *all
	}
	return nil // it was not made to the end
}

// pollable reports whether l is one of the system's sockets.
func pollable(l net.Listener) bool {
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener:
		return true
	}
	return false
}

func (p *polling) dispatchers() (all []actor.Dispatcher) {
	for _, c := range p.loops {
		all = append(all, c)
	}
	return all
}

// adopt polls a socket that this side has opened. config, if not nil, puts TLS over it.
func (p *polling) adopt(conn net.Conn, config *tls.Config) (transport.Conn, int, error) {
	lane := p.lane()
	p.dealt.Add(1)
	socket, err := transport.Adopt(p.loops[lane].set, conn)
	if err != nil || config == nil {
		return socket, lane, err
	}
	return transport.NewPollTLSClient(socket, config, &p.server.readers), lane, nil
}

// lane returns the number of the event loop that the next connection goes to.
func (p *polling) lane() int { return int(p.dealt.Load() % uint64(len(p.loops))) }

func (p *polling) acceptor(number int) *actor.Props { return p.acceptors()[number].props() }

// put gives each acceptor of the slot a descriptor of its own. While l itself is open, its socket
// is also in the runtime's own poll set, and every client would wake a thread there for nothing: a
// tenth of the processor time of short connections, in a profile. So l is closed. A unix listener
// cannot be closed: the close may remove the path, and there is no way to tell whether it will.
func (p *polling) put(slot int, generation uint64, l net.Listener) (err error) {
	var sockets []*transport.Acceptor
	defer func() {
		if err != nil {
			for _, socket := range sockets {
				socket.Close()
			}
		}
	}()
	for _, a := range p.at(slot) {
		socket, err := transport.NewAcceptor(a.loop.set, l, a.Schedule)
		if err != nil {
			return err
		}
		sockets = append(sockets, socket)
	}
	o := p.socketOptions(p.server.options())
	for _, socket := range sockets { // each has seen what the socket had at first
		if err := socket.Tune(o); err != nil {
			return badBuffers(err)
		}
	}
	if _, unix := l.(*net.UnixListener); unix {
		p.keep(slot, l)
	} else {
		_ = l.Close()
	}
	for i, a := range p.at(slot) {
		a.put(sockets[i], generation)
	}
	return nil
}

func (p *polling) socketOptions(o *Options) transport.SocketOptions {
	probes := o.keepAlive(p.server.config)
	return transport.SocketOptions{
		NoDelay:    !o.DisableNoDelay,
		KeepAlive:  transport.KeepAlive{KeepAliveConfig: probes.KeepAliveConfig, Leave: probes.leave},
		RecvBuffer: max(o.RecvBufferSize, 0),
		SendBuffer: max(o.SendBufferSize, 0),
	}
}

func (p *polling) tune(o *Options) error {
	for _, a := range p.acceptors() {
		if err := a.tune(p.socketOptions(o)); err != nil {
			return badBuffers(err)
		}
	}
	return nil
}

func (p *polling) take(slot int) {
	for _, a := range p.at(slot) {
		a.take()
	}
	if l := p.keep(slot, nil); l != nil {
		_ = l.Close()
	}
}

// keep keeps l, and returns what was kept before.
func (p *polling) keep(slot int, l net.Listener) (before net.Listener) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, p.kept[slot] = p.kept[slot], l
	return before
}

// at returns the acceptors of a slot.
func (p *polling) at(slot int) (all []*pollAcceptor) {
	for _, a := range p.acceptors() {
		if a.slot == slot {
			all = append(all, a)
		}
	}
	return all
}

// halt has nothing to do: an acceptor looks at the mode before every accept.
func (p *polling) halt()    {}
func (p *polling) proceed() { p.nudge() }

func (p *polling) nudge() {
	for _, a := range p.acceptors() {
		a.Schedule()
	}
}

func (p *polling) backlog() {
	for _, a := range p.acceptors() {
		a.backlog()
	}
}

func (p *polling) files() (files []*os.File, err error) {
	for _, a := range p.acceptors()[:len(p.kept)] { // the first of each slot
		file, err := a.file()
		if err != nil {
			closeFiles(files)
			return nil, err
		}
		files = append(files, file)
	}
	return files, nil
}

func (p *polling) unlink(slot int, unlinks bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	unlinkOnClose(p.kept[slot], unlinks)
}

func (p *polling) letGo() {
	for _, a := range p.acceptors() {
		for client, ok := a.popHeld(); ok; client, ok = a.popHeld() {
			_ = client.Close()
		}
	}
}

func (p *polling) stop() {
	for _, a := range p.acceptors() {
		a.pause.stop()
	}
}

// close ends the loops and joins them. All their actors have stopped.
func (p *polling) close() {
	for _, c := range p.loops {
		c.Close()
	}
	for _, c := range p.loops {
		c.Wait()
		c.set.Close()
	}
}
