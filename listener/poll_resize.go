//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"net"
	"slices"

	"github.com/go-berth/berth/connection/transport"
)

// This file changes the number of acceptors of the poll transport.

// grow makes the acceptors that are missing up to the given number. They share the listening socket
// of the first one, if there is one now.
func (p *polling) grow(number int) error {
	all := slices.Clone(p.acceptors())
	before := len(all)
	for len(all) < number {
		a := p.newAcceptor(len(all))
		if err := p.share(a); err != nil {
			for _, made := range all[before:] {
				made.take()
			}
			return err
		}
		all = append(all, a)
	}
	p.list.Store(&all)
	return nil
}

// share gives an acceptor a descriptor of its own for the socket of another one.
func (p *polling) share(a *pollAcceptor) error {
	generation := p.server.slot(a.slot).generation
	file, err := p.at(a.slot)[0].file()
	if err == errNoSocket { //nolint:errorlint // it is never wrapped
		return nil // this acceptor too gets the next socket that is opened
	}
	if err != nil {
		return err
	}
	defer file.Close()
	l, err := net.FileListener(file)
	if err != nil {
		return err
	}
	defer l.Close()
	socket, err := transport.NewAcceptor(a.loop.set, l, a.Schedule)
	if err != nil {
		return err
	}
	if err := socket.Tune(p.socketOptions(p.server.options())); err != nil {
		socket.Close()
		return badBuffers(err)
	}
	a.put(socket, generation)
	return nil
}

// shrink removes the acceptors from the given number on. The clients that they hold go to the first
// acceptor.
func (p *polling) shrink(number int) {
	all := p.acceptors()
	if len(all) <= number {
		return
	}
	kept := slices.Clone(all[:number])
	p.list.Store(&kept)
	for _, a := range all[number:] {
		a.retire(kept[0])
	}
}

// retire closes the acceptor's descriptor and gives another one the clients that it holds, and
// those that it may get in a turn that is under way.
func (a *pollAcceptor) retire(heir *pollAcceptor) {
	a.mu.Lock()
	held := a.held
	a.held, a.heir = nil, heir // first: an acceptor without a socket would open one
	a.mu.Unlock()
	a.take()
	a.pause.stop()
	for _, client := range held {
		heir.hold(client)
	}
	heir.Schedule()
}

func (a *pollAcceptor) retired() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.heir != nil
}

// hold keeps a client until there is room.
func (a *pollAcceptor) hold(client pollClient) {
	a.mu.Lock()
	heir := a.heir
	if heir == nil {
		a.held = append(a.held, client)
	}
	a.mu.Unlock()
	if heir != nil {
		heir.hold(client)
		heir.Schedule()
	}
}
