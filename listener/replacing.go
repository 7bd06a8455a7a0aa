package listener

import (
	"fmt"
	"net"
	"reflect"
	"slices"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
)

// This file replaces the options of a running listener. The options in force are one value that
// never changes; see server.options.

// Options returns the options as they were given to Listen, Serve or the last SetOptions. An option
// that was left to its default is 0 there.
func (l *Listener) Options() Options { return l.server.given.Load().clone() }

// SetOptions replaces the options of the running listener. For connections that are accepted from
// now on it is as if the listener had been started with them. Existing connections keep the options
// that they have. A lower MaxConnections closes no connection: new clients wait, or are turned
// away, until enough connections have gone.
//
// Network, ListenConfig, Transport, Workers, EventLoops, ReusePort, Owner and the memory budget
// cannot change, and with ReusePort Acceptors cannot either. RecvBufferSize and SendBufferSize
// cannot go back to the kernel's choice. TLS cannot be switched on with the poll transport. The
// error about these, or about a bad option, is one sentence, and then nothing has changed. Once the
// listener shuts down, nothing changes either, and the error matches net.ErrClosed.
func (l *Listener) SetOptions(options Options) error {
	if err := options.validate(); err != nil {
		return err
	}
	return l.server.replace(options.clone(), l.pid)
}

// SetHandler replaces the handler of the running listener, for connections that are accepted from
// now on. Existing connections keep theirs, also when RestartHandler makes it anew. The error about
// a bad handler is one sentence, and then nothing has changed. Once the listener shuts down,
// nothing changes either, and the error matches net.ErrClosed.
func (l *Listener) SetHandler(factory tcpactor.Factory) error {
	if err := checkFactory(factory); err != nil {
		return err
	}
	s := l.server
	s.replacing.Lock()
	defer s.replacing.Unlock()
	if s.shutDown() {
		return ErrClosed
	}
	s.factory = factory
	s.settle()
	return nil
}

// settle puts the factory and the options in force for new connections.
func (s *server) settle() {
	if spawner := s.spawner.Load(); spawner != nil {
		spawner.Set(s.factory, s.options().Connection)
		spawner.SetLingerers(s.options().mostLingering())
	}
}

// clone returns o with lists of its own.
func (o Options) clone() Options {
	o.Allow, o.Deny, o.RejectMessage = slices.Clone(o.Allow), slices.Clone(o.Deny), slices.Clone(o.RejectMessage)
	o.ProxyProtocol.TrustedProxies = slices.Clone(o.ProxyProtocol.TrustedProxies)
	o.Alarms = slices.Clone(o.Alarms)
	return o
}

func (s *server) replace(given Options, pid *actor.PID) error {
	s.replacing.Lock()
	defer s.replacing.Unlock()
	if err := given.changes(s.given.Load()); err != nil {
		return err
	}
	next := given.withDefaults()
	if err := next.ProxyProtocol.suits(s.addr); err != nil {
		return err
	}
	acceptors := s.options().Acceptors
	if next.Acceptors > acceptors {
		if err := s.resize(next.Acceptors); err != nil {
			return err
		}
	}
	if err := s.retune(&next); err != nil {
		_ = s.resize(acceptors)
		return err
	}
	if next.Acceptors != acceptors {
		s.system.Root.Send(pid, &reseat{})
	}
	s.given.Store(&given)
	s.settle()
	s.admission.Set(next.rules(s.addr))
	s.counter.setAlarms(next.Alarms)
	s.sweepSooner()
	return nil
}

// resize makes the transport keep the given number of acceptors.
func (s *server) resize(acceptors int) error {
	return s.change(func() error {
		s.intake.shrink(acceptors)
		return s.intake.grow(acceptors)
	})
}

// retune puts next in force for new sockets: the gate is held, so that no listening socket is
// opened meanwhile.
func (s *server) retune(next *Options) error {
	s.gate.Lock()
	defer s.gate.Unlock()
	if s.shutDown() {
		return ErrClosed
	}
	if err := s.intake.tune(next); err != nil {
		_ = s.intake.tune(s.options()) // some of it may have taken effect
		return err
	}
	s.current.Store(next)
	return nil
}

// changes returns one sentence about the first option that differs from before and cannot change,
// nil if there is none.
func (o Options) changes(before *Options) error {
	network := func(name string) string { return Options{Network: name}.withDefaults().Network }
	for _, fixed := range [...]struct {
		name string
		same bool
	}{
		{"Network", network(o.Network) == network(before.Network)},
		{"ListenConfig", sameConfig(o.ListenConfig, before.ListenConfig)},
		{"Transport", o.Transport == before.Transport},
		{"Workers", o.Workers == before.Workers},
		{"EventLoops", max(o.EventLoops, 1) == max(before.EventLoops, 1)},
		{"Acceptors with ReusePort", !before.ReusePort || max(o.Acceptors, 1) == max(before.Acceptors, 1)},
		{"Owner", sameActor(o.Owner, before.Owner)},
		{"MemoryHighWater", o.MemoryHighWater == before.MemoryHighWater},
		{"MemoryLowWater", o.MemoryLowWater == before.MemoryLowWater},
		{"MemoryTimeout", o.MemoryTimeout == before.MemoryTimeout},
		{"MemoryBudget", max(o.MemoryBudget, 0) == max(before.MemoryBudget, 0)},
		{"ReusePort", o.ReusePort == before.ReusePort},
		{"RecvBufferSize to the kernel's choice", o.RecvBufferSize > 0 || before.RecvBufferSize <= 0},
		{"SendBufferSize to the kernel's choice", o.SendBufferSize > 0 || before.SendBufferSize <= 0},
	} {
		if !fixed.same {
			return fmt.Errorf("berth: a running listener cannot change %s", fixed.name)
		}
	}
	return nil
}

func sameActor(a, b *actor.PID) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Equal(b)
}

// sameConfig compares what can be compared. Functions are compared by the place of their code.
func sameConfig(a, b net.ListenConfig) bool {
	same := reflect.ValueOf(a.Control).Pointer() == reflect.ValueOf(b.Control).Pointer()
	a.Control, b.Control = nil, nil
	return same && reflect.DeepEqual(a, b)
}

// ErrClosed is the error of calls that a listener cannot do any more because it has ended, or is
// about to end. It matches net.ErrClosed.
var ErrClosed error = endedError{}

type endedError struct{}

func (endedError) Error() string { return "berth: the listener has ended" }
func (endedError) Unwrap() error { return net.ErrClosed }
