package listener

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"runtime/debug"
	"syscall"
)

// bind opens a listening socket.
func (o Options) bind(addr string) (net.Listener, error) {
	config := o.ListenConfig
	config.KeepAlive, config.KeepAliveConfig = -1, net.KeepAliveConfig{} // the options in force may have changed by then; see tune
	if o.ReusePort {
		config.Control = both(setReusePort, config.Control)
	}
	var broken brokenControl
	config.Control = broken.watch(config.Control)
	listen := func() (net.Listener, error) {
		l, err := config.Listen(context.Background(), o.Network, addr)
		if broken.failure != nil {
			if err == nil { // package net tries again without MPTCP
				_ = l.Close()
			}
			panic(broken.failure)
		}
		return l, err
	}
	var l net.Listener
	var err error
	if o.Network == "unix" && isPath(addr) {
		l, err = bindPath(addr, listen)
	} else {
		l, err = listen()
	}
	if err != nil {
		return nil, fmt.Errorf("berth: %w", err)
	}
	return l, nil
}

// bindAll opens all the listening sockets, or none: one or, with ReusePort, one for each acceptor.
// If addr leaves the port to the system, the first socket picks it, and the others join it.
func (o Options) bindAll(addr string) (sockets []net.Listener, err error) {
	count := 1
	if o.ReusePort {
		count = o.Acceptors
	}
	for range count {
		l, err := o.bind(addr)
		if err != nil {
			closeAll(sockets)
			return nil, err
		}
		sockets = append(sockets, l)
		addr = l.Addr().String()
	}
	return sockets, nil
}

func closeAll(sockets []net.Listener) {
	for _, l := range sockets {
		_ = l.Close()
	}
}

// control is the type of net.ListenConfig's Control.
type control func(network, address string, socket syscall.RawConn) error

// both calls first and then the user's own, if there is one.
func both(first, own control) control {
	if own == nil {
		return first
	}
	return func(network, address string, socket syscall.RawConn) error {
		if err := first(network, address, socket); err != nil {
			return err
		}
		return own(network, address, socket)
	}
}

// brokenControl keeps a panic of a control.
type brokenControl struct{ failure error }

// watch returns own with its panic as an error. A panic that went through package net would leave
// the new socket's descriptor open for ever. runtime.Goexit still does.
func (b *brokenControl) watch(own control) control {
	if own == nil {
		return nil
	}
	return func(network, address string, socket syscall.RawConn) (err error) {
		defer func() {
			if reason := recover(); reason != nil {
				b.failure = panicked(reason, debug.Stack())
				err = b.failure
			}
		}()
		return own(network, address, socket)
	}
}

// checkReusePort returns what is wrong with ReusePort, nil if nothing.
func (o Options) checkReusePort() error {
	switch {
	case !o.ReusePort:
		return nil
	case o.Network == "unix":
		return errors.New("berth: ReusePort needs TCP, and a unix socket has no port")
	case !reusePortSupported:
		return errors.New("berth: ReusePort does not exist on " + runtime.GOOS)
	}
	return nil
}

var errServeReusePort = errors.New("berth: ReusePort is for Listen: Serve is given its socket")
