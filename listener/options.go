package listener

import (
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/connection/transport"

	"github.com/go-berth/berth/listener/internal/admission"
)

// Options of a listener. The zero value is useful. In every field 0 means the default and, where
// the field is a limit, a negative number means off.
type Options struct {
	// Connection holds the options of each connection.
	Connection connection.Options

	// Network is "tcp", "tcp4", "tcp6" or "unix". Default "tcp".
	Network string
	// ListenConfig opens the listening socket. Its options for keep-alive probes apply where
	// KeepAlive is 0. Default: the zero net.ListenConfig.
	ListenConfig net.ListenConfig
	// TLSConfig makes every connection a TLS server connection; the handler gets Accepted after the
	// handshake. Default: plain TCP.
	TLSConfig *tls.Config
	// Transport says how bytes move. Default Auto.
	Transport Transport
	// Workers is the most goroutines that poll sockets and run actors at the same time, with the
	// poll transport; blocked ones do not count. Default GOMAXPROCS; it cannot be negative.
	Workers int
	// EventLoops is how many loops share the workers, each with a poll set and a run queue of its
	// own; connections are dealt out to them in turn. Default 1, which balances best; beyond about
	// 16 workers one queue's lock begins to show. Each has goroutines and descriptors from the
	// start, so there are at most 1,024. It cannot be negative.
	EventLoops int
	// Acceptors is how many actors accept. They share the listening socket, unless ReusePort is
	// set. Default 1. With the poll transport they are dealt out to the loops. Each is an actor
	// with a descriptor from the start, so there are at most 1,024. It cannot be negative.
	Acceptors int
	// ReusePort gives each acceptor a listening socket of its own on the same port, by
	// SO_REUSEPORT; other processes of the same user can join it too. Linux, FreeBSD and DragonFly
	// spread the clients over the sockets; other systems need not. Default: one socket. It is for
	// Listen and TCP.
	ReusePort bool

	// MaxConnections is the most connections open at once. Default the smaller of 16384 and 80% of
	// the process's limit of open files. Off: accepting goes on until the process has no descriptor
	// left.
	//
	// A connection is open until its FIN is sent. After that it waits for the peer's FIN without a
	// permit, for LingerTimeout at most. As many as MaxConnections may wait so, but no more than a
	// quarter of the descriptors that MaxConnections leaves to the process; beyond it the one that
	// has waited longest is closed at once.
	MaxConnections int
	// WhenFull decides what happens to a client while MaxConnections are open, or while AcceptRate
	// is used up. Default Wait.
	WhenFull WhenFull
	// MaxWait is how long a client waits, with Wait. After that it is turned away as with Reject.
	// The time that a client has spent in the kernel's backlog is not known. So with a MaxWait
	// clients are accepted, and wait in a queue of the listener's. The first of them gets the next
	// permit. Each holds a descriptor: at most 1,024 wait, and no more than half of the descriptors
	// that MaxConnections leaves of the process's limit; a client beyond that is turned away at
	// once. Default off: clients wait in the backlog, without a limit.
	MaxWait time.Duration
	// RejectMessage is sent, with Reject or a MaxWait, to a client that is turned away because of
	// MaxConnections, MaxConnectionsPerIP or AcceptRate. FIN follows it. It is written in one
	// piece, which the buffer of a new connection takes, so nothing waits for it. Input that the
	// client sent until then is read and dropped: a close with unread input would reset the
	// connection and might destroy the message. A client whose bytes come later may see a reset
	// after the message, or instead of it. To a net.Conn that is none of the system's own sockets a
	// goroutine writes it, one of 64 at most, within 1 s. Beyond 64, clients are closed without the
	// message. It is at most 4 KiB long. It cannot be used with TLS, where the client would take it
	// for a broken handshake. A client that is turned away after its PROXY header, because of it,
	// is reset without the message. Default none.
	RejectMessage []byte
	// MaxConnectionsPerIP is the most connections open at once from one address, or from one
	// network of PerIPPrefixV4 or PerIPPrefixV6. A client beyond it is closed at once, also with
	// Wait, because its address is known only after the accept. Clients without an IP address, as
	// those of a unix socket, are not counted. If the option is switched on while the listener
	// runs, it counts from then on. Default off.
	MaxConnectionsPerIP int
	// PerIPPrefixV4 and PerIPPrefixV6 are how many leading bits of an address make the network that
	// MaxConnectionsPerIP counts. Default 32, which is one address, and 64, which is the network of
	// one IPv6 site. An IPv4-mapped IPv6 address is an IPv4 address.
	PerIPPrefixV4 int
	PerIPPrefixV6 int
	// AcceptRate is the most connections that may begin in a second, on average, and AcceptBurst
	// the most at once. Default off; AcceptBurst one second's worth, at least 1.
	AcceptRate  float64
	AcceptBurst int
	// Allow and Deny decide which clients are accepted. A client is accepted if Deny does not
	// contain its address and Allow, unless it is empty, does. The other clients are closed at
	// once. IPv4 addresses match IPv4 prefixes only. A client without an IP address is in neither
	// list.
	Allow []netip.Prefix
	Deny  []netip.Prefix
	// ProxyProtocol says whether clients come through proxies. Default: they do not.
	ProxyProtocol ProxyProtocol

	// Alarms are told when many connections are open. Default none.
	Alarms []Alarm

	// MemoryBudget is the most bytes that all connections hold together: the memory behind unread
	// bytes, and accepted writes until the kernel has taken them. Bytes of a file do not count.
	// Default off. What a stream transport's reader reads ahead does not count: up to 2 KiB for
	// each connection and, above that, an eighth of the budget for all. What TLS and the kernel
	// hold does not count either. MemoryBudget cannot change while the listener runs.
	MemoryBudget int64
	// MemoryHighWater is the number of bytes from which on connections that hold more than their
	// share are not read any more and get ErrMemoryBudget for writes. The share is the low water
	// divided by the connections that hold or want something, and at least 8 KiB. The other
	// connections are read until half of what is left is taken, and may write until all is. At
	// MemoryLowWater all connections go on, those that hold least first. Default 80% of the budget,
	// and three quarters of the high water.
	MemoryHighWater int64
	MemoryLowWater  int64
	// MemoryTimeout ends a connection that is in the way. It is in the way if another connection
	// waits for memory, and it holds more than its share and has not, within this time, moved or
	// given back as many bytes as it holds. The one that holds most is ended first. Default 30 s.
	// Off: a connection may hold the budget for ever.
	MemoryTimeout time.Duration

	// ShutdownTimeout bounds a shutdown that has no deadline of its own. Default 15 s. Off: it
	// waits until the last connection has ended by itself.
	ShutdownTimeout time.Duration
	// Owner is an actor whose end stops the listener, by the same drain as every other stop. If it
	// has ended already, the listener stops at once. It need not be the listener's parent, whose
	// stop stops the listener anyway. A restart is no end. Default: none.
	Owner *actor.PID

	// DisableNoDelay turns TCP_NODELAY off. Default false: small writes go out at once.
	DisableNoDelay bool
	// KeepAlive is the idle time before the first TCP keep-alive probe, and the time between two
	// probes. The connection ends after 9 probes without an answer. Default: the value of
	// ListenConfig or, with Serve, of the given net.Listener, and of the net.Dialer for an outgoing
	// connection; 15 s where they have none, as in package net. Off: a peer that vanished silently
	// is noticed only when something is written to it.
	//
	// A kernel or a kind of socket that does not know an option for probes, or TCP_NODELAY, goes
	// without it.
	KeepAlive time.Duration
	// RecvBufferSize and SendBufferSize set the kernel's buffers of each connection, in bytes.
	// Default: the kernel's own choice, up to several MiB for a peer that does not read. With a
	// MemoryBudget the default is a limit instead: a quarter of the budget, divided by the
	// connections that are open (16 at least), and 16 KiB at least; 1 MiB and more is no limit. For
	// output it bounds the bytes that TCP could not send yet (TCP_NOTSENT_LOWAT; Linux, macOS),
	// which costs no speed. For input it bounds the buffer. Negative: the kernel's own choice, also
	// with a MemoryBudget.
	RecvBufferSize int
	SendBufferSize int
}

// WhenFull decides what happens to a client while MaxConnections are open.
type WhenFull uint8

const (
	// Wait leaves the client in the kernel's backlog until a permit is free. See also MaxWait.
	Wait WhenFull = iota
	// Reject accepts and closes it at once, after a RejectMessage if there is one.
	Reject
)

// Transport says how bytes move between the kernel and a connection.
type Transport uint8

const (
	// Auto is Poll where it exists, for TCP and unix sockets, also with TLSConfig, and Stream for
	// everything else.
	Auto Transport = iota
	// Poll uses epoll or kqueue: the workers that poll the sockets run their actors. Linux, macOS
	// and the BSDs.
	Poll
	// Stream uses a net.Conn and one reader goroutine per connection; it works with every listener.
	Stream
)

// withDefaults returns o with every default filled in.
func (o Options) withDefaults() Options {
	o.Connection = o.Connection.WithDefaults()
	if o.Network == "" {
		o.Network = "tcp"
	}
	switch {
	case o.MaxConnections == 0:
		o.MaxConnections = defaultMaxConnections()
	case o.MaxConnections < 0:
		o.MaxConnections = unlimited
	}
	o.MaxWait = max(o.MaxWait, 0)
	o.MaxConnectionsPerIP = max(o.MaxConnectionsPerIP, 0)
	if o.PerIPPrefixV4 == 0 {
		o.PerIPPrefixV4 = 32
	}
	if o.PerIPPrefixV6 == 0 {
		o.PerIPPrefixV6 = 64
	}
	o.AcceptRate = max(o.AcceptRate, 0)
	if o.AcceptBurst == 0 {
		o.AcceptBurst = int(min(max(o.AcceptRate, 1), unlimited))
	}
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	o.EventLoops = max(o.EventLoops, 1)
	o.Acceptors = max(o.Acceptors, 1)
	if o.ShutdownTimeout == 0 {
		o.ShutdownTimeout = 15 * time.Second
	}
	return o
}

const unlimited = 1 << 30

// mostRejectMessage is the most bytes of a RejectMessage. They fit into the kernel's buffer of any
// new connection.
const mostRejectMessage = 4 << 10

// mostAtOnce is the most EventLoops and the most Acceptors: all of them are made at the start, and
// no machine gains from more.
const mostAtOnce = 1024

// polls decides between the transports for l.
func (o Options) polls(l net.Listener) (bool, error) {
	switch {
	case o.Transport == Poll && !pollable(l):
		return false, fmt.Errorf("berth: the poll transport needs a TCP or unix listener, not a %T", l)
	case o.Transport == Stream:
		return false, nil
	}
	return pollable(l), nil
}

// defaultMaxConnections leaves a fifth of the descriptors to the rest of the process.
func defaultMaxConnections() int {
	const most = 16384
	if files := openFilesLimit(); files > 0 {
		return max(1, int(min(most, files/5*4)))
	}
	return most
}

// mostLingering is how many connections may wait for the peer's FIN without a permit of
// MaxConnections: as many as there are permits, but no more than a quarter of the descriptors that
// the permits leave to the process: clients that wait for a permit (see MaxWait) may take a half of
// them. o has its defaults.
func (o *Options) mostLingering() int {
	most := min(o.MaxConnections, defaultMaxConnections())
	if files := openFilesLimit(); files > 0 {
		files := int(min(files, unlimited))
		left := files - o.MaxConnections
		if o.MaxConnections == unlimited {
			left = files / 5 // what a default leaves
		}
		most = min(most, left/4)
	}
	return max(most, 0)
}

// validate returns one sentence about the first option that is not valid, nil if all are.
func (o Options) validate() error {
	switch o.Network {
	case "", "tcp", "tcp4", "tcp6", "unix":
	default:
		return fmt.Errorf("berth: Network %q is none of tcp, tcp4, tcp6, unix", o.Network)
	}
	switch {
	case o.WhenFull > Reject:
		return fmt.Errorf("berth: WhenFull %d is neither Wait nor Reject", o.WhenFull)
	case o.Transport > Stream:
		return fmt.Errorf("berth: Transport %d is none of Auto, Poll, Stream", o.Transport)
	case o.Transport == Poll && !transport.PollSupported:
		return errors.New("berth: the poll transport does not exist on " + runtime.GOOS)
	case o.TLSConfig != nil && !transport.HasCertificate(o.TLSConfig):
		return errors.New("berth: TLSConfig has no certificate: set one of Certificates, GetCertificate, GetConfigForClient")
	case o.Workers < 0:
		return fmt.Errorf("berth: Workers %d must not be negative", o.Workers)
	case o.EventLoops < 0:
		return fmt.Errorf("berth: EventLoops %d must not be negative", o.EventLoops)
	case o.EventLoops > mostAtOnce:
		return fmt.Errorf("berth: EventLoops %d is over %d: each has goroutines and descriptors of its own", o.EventLoops, mostAtOnce)
	case o.Acceptors < 0:
		return fmt.Errorf("berth: Acceptors %d must not be negative", o.Acceptors)
	case o.Acceptors > mostAtOnce:
		return fmt.Errorf("berth: Acceptors %d is over %d: each is an actor with a descriptor", o.Acceptors, mostAtOnce)
	case o.MaxWait > 0 && o.WhenFull != Wait:
		return fmt.Errorf("berth: MaxWait %v needs WhenFull Wait", o.MaxWait)
	case len(o.RejectMessage) > 0 && o.WhenFull != Reject && o.MaxWait <= 0:
		return errors.New("berth: RejectMessage is never sent without WhenFull Reject or a MaxWait")
	case len(o.RejectMessage) > 0 && o.TLSConfig != nil:
		return errors.New("berth: RejectMessage cannot be sent with a TLSConfig: the client would take it for a broken handshake")
	case len(o.RejectMessage) > mostRejectMessage:
		return fmt.Errorf("berth: RejectMessage is %d bytes long; the most is %d", len(o.RejectMessage), mostRejectMessage)
	case o.PerIPPrefixV4 < 0 || o.PerIPPrefixV4 > 32:
		return fmt.Errorf("berth: PerIPPrefixV4 %d is no length of an IPv4 prefix: 1 to 32", o.PerIPPrefixV4)
	case o.PerIPPrefixV6 < 0 || o.PerIPPrefixV6 > 128:
		return fmt.Errorf("berth: PerIPPrefixV6 %d is no length of an IPv6 prefix: 1 to 128", o.PerIPPrefixV6)
	case math.IsNaN(o.AcceptRate) || math.IsInf(o.AcceptRate, 0):
		return fmt.Errorf("berth: AcceptRate %v is no number of connections per second", o.AcceptRate)
	case o.AcceptBurst < 0:
		return fmt.Errorf("berth: AcceptBurst %d must not be negative", o.AcceptBurst)
	case o.AcceptBurst > 0 && o.AcceptRate <= 0:
		return fmt.Errorf("berth: AcceptBurst %d limits nothing without an AcceptRate", o.AcceptBurst)
	case o.Network == "unix" && len(o.Allow)+len(o.Deny) > 0 && !o.ProxyProtocol.Enabled:
		return errors.New("berth: Allow and Deny name IP addresses, and the clients of a unix socket have none")
	}
	if err := o.checkReusePort(); err != nil {
		return err
	}
	for _, prefix := range slices.Concat(o.Allow, o.Deny) {
		if !prefix.IsValid() {
			return errors.New("berth: Allow and Deny must hold valid prefixes: use netip.ParsePrefix")
		}
	}
	if err := o.ProxyProtocol.validate(); err != nil {
		return err
	}
	if err := validateAlarms(o.Alarms); err != nil {
		return err
	}
	if err := o.Connection.Validate(); err != nil {
		return err
	}
	return o.validateMemory()
}

// rules are what the options say about clients of a listener at addr. They are valid and have their
// defaults.
func (o *Options) rules(addr net.Addr) admission.Rules {
	return admission.Rules{
		Most: o.MaxConnections, Waits: o.WhenFull == Wait, Queues: o.MaxWait > 0,
		PerIP: o.MaxConnectionsPerIP, PrefixV4: o.PerIPPrefixV4, PrefixV6: o.PerIPPrefixV6,
		Rate: o.AcceptRate, Burst: o.AcceptBurst,
		Allow: o.Allow, Deny: o.Deny,
		Proxied: o.ProxyProtocol.Enabled, Trusted: o.ProxyProtocol.TrustedProxies,
		AnyPeer: o.ProxyProtocol.TrustUnix && isUnix(addr),
	}
}
