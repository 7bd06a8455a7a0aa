package berthtest

import (
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/simnet"
)

// Option changes what Serve does.
type Option func(*config)

type config struct {
	server   berth.Options
	network  simnet.Options
	loopback bool
	system   *actor.ActorSystem // of the test
	patience time.Duration
	failures bool // may happen
	leaks    bool // are not looked for
	allowed  []string
	message  func(name string) any // of a Replay
	ordered  bool                  // in a World
}

// With gives the server its options. Default: the zero value. Options for IP addresses (Allow,
// Deny, MaxConnectionsPerIP, ProxyProtocol) and for the kernel have a meaning on Loopback only.
func With(options berth.Options) Option {
	return func(c *config) { c.server = options }
}

// Network sets the properties of the network in memory: its latency and its buffers. Default: no
// latency, and 64 KiB for each direction of a connection.
func Network(options simnet.Options) Option {
	return func(c *config) { c.network = options }
}

// Loopback serves real TCP connections on a free port of 127.0.0.1. It cannot be used in a bubble
// of testing/synctest, which does not control the kernel.
func Loopback() Option {
	return func(c *config) { c.loopback = true }
}

// InSystem serves in an actor system of the test. Default: one that this server alone uses. In a
// bubble the system must have been made there.
func InSystem(system *actor.ActorSystem) Option {
	return func(c *config) { c.system = system }
}

// Patience is how long an expectation waits before it fails. Default 20 s. In a bubble, which waits
// no real time, the default is one hour and three times the longest timeout in the options.
func Patience(patience time.Duration) Option {
	return func(c *config) { c.patience = patience }
}

// AllowFailures lets handlers panic and return errors. Default: a failure that was not asked for
// with ExpectFailure fails the test.
func AllowFailures() Option {
	return func(c *config) { c.failures = true }
}

// AllowGoroutine allows goroutines to remain that have the given function on their stacks, named as
// in a stack trace: "net/http.(*persistConn).readLoop".
func AllowGoroutine(function string) Option {
	return func(c *config) { c.allowed = append(c.allowed, function) }
}

// AllowLeaks turns off the search for goroutines and actors that remain.
func AllowLeaks() Option {
	return func(c *config) { c.leaks = true }
}

// inWorld is the option of a World's servers.
func inWorld(c *config) { c.ordered = true }
