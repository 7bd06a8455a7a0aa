package main

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/internal/cli"
)

// config is the command line.
type config struct {
	addr    string
	sleep   time.Duration // how long a chunk that begins with "sleep" keeps its handler
	burn    time.Duration // how long every chunk keeps its handler busy
	tls     bool          // with a certificate made for this run
	cert    string        // or with one from two files
	key     string
	inspect string // where a browser can look at the server
	actions bool   // and act on it, with a token
	options berth.Options
}

// parse reads the command line. What is wrong with it is one sentence.
func parse(p *cli.Program) (c config, err error) {
	o, flags := &c.options, p.Flags
	flags.StringVar(&c.addr, "addr", "127.0.0.1:7000", "address to listen on, a path with -network unix")
	flags.StringVar(&o.Network, "network", "tcp", "tcp or unix")
	flags.IntVar(&o.Connection.ReadBufferSize, "read-buffer-size", 0, "most unread bytes per connection (0: default)")
	flags.IntVar(&o.Connection.WriteBufferSize, "write-buffer-size", 0, "most pending bytes per connection (0: default, negative: no limit)")
	flags.IntVar(&o.Connection.WriteQueueSize, "write-queue-size", 0, "most pending writes per connection (0: default, negative: no limit)")
	flags.DurationVar(&o.Connection.IdleTimeout, "idle-timeout", 5*time.Minute, "close a connection without traffic for so long (negative: never)")
	flags.DurationVar(&o.Connection.ReadTimeout, "read-timeout", 0, "close a connection whose client sends nothing for so long (0, negative: never)")
	flags.DurationVar(&o.Connection.WriteTimeout, "write-timeout", 0, "reset a connection whose client takes nothing of pending bytes for so long (0: default, negative: never)")
	flags.DurationVar(&o.Connection.CloseTimeout, "close-timeout", 0, "how long the flush of a close may take (0: default, negative: as long as it takes)")
	flags.DurationVar(&o.Connection.LingerTimeout, "linger-timeout", 0, "how long to wait for a client's FIN after the server's (0: default, negative: as long as it takes)")
	flags.IntVar(&o.MaxConnections, "max-connections", 0, "most connections open at once (0: default, negative: no limit)")
	flags.DurationVar(&o.MaxWait, "max-wait", 0, "how long a client beyond -max-connections waits with -when-full wait (0: as long as it likes)")
	flags.IntVar(&o.SendBufferSize, "send-buffer-size", 0, "the kernel's send buffer of each connection, in bytes (0: the kernel's choice)")
	flags.IntVar(&o.RecvBufferSize, "recv-buffer-size", 0, "the kernel's receive buffer of each connection, in bytes (0: the kernel's choice)")
	flags.Int64Var(&o.MemoryBudget, "memory-budget", 0, "most bytes that all connections hold together (0, negative: no limit)")
	flags.IntVar(&o.Workers, "workers", 0, "most goroutines that poll and run handlers at once, with -transport poll (0: default)")
	flags.BoolVar(&c.tls, "tls", false, "serve TLS with a self-signed certificate for localhost, made for this run")
	flags.StringVar(&c.cert, "tls-cert", "", "serve TLS with the certificate in this PEM file; SIGHUP reads it again")
	flags.StringVar(&c.key, "tls-key", "", "the key of -tls-cert, in a PEM file")
	flags.DurationVar(&c.sleep, "sleep", 0, "how long the handler sleeps before it echoes a chunk that begins with sleep")
	flags.DurationVar(&c.burn, "burn", 0, "how long the handler computes before it echoes a chunk")
	flags.StringVar(&c.inspect, "inspect", "", "address of the inspector's pages, as 127.0.0.1:7001")
	flags.BoolVar(&c.actions, "inspect-actions", false, "allow to pause and close connections there, with a token made for this run")
	flags.Func("proxy-protocol", "comma-separated prefixes, or unix, whose peers are proxies: every connection begins with a PROXY header",
		func(list string) (err error) {
			o.ProxyProtocol, err = trusted(list)
			return err
		})
	cli.OneOf(flags, &o.Transport, "transport", "how bytes move",
		cli.Choice[berth.Transport]{Word: "auto", Value: berth.Auto},
		cli.Choice[berth.Transport]{Word: "poll", Value: berth.Poll},
		cli.Choice[berth.Transport]{Word: "stream", Value: berth.Stream})
	cli.OneOf(flags, &o.WhenFull, "when-full", "what becomes of a client beyond -max-connections",
		cli.Choice[berth.WhenFull]{Word: "wait", Value: berth.Wait},
		cli.Choice[berth.WhenFull]{Word: "reject", Value: berth.Reject})

	if err := p.Begin(); err != nil {
		return c, err
	}
	if o.Network != "tcp" && o.Network != "unix" {
		return c, p.Errorf("-network %q is neither tcp nor unix", o.Network)
	}
	if c.actions && c.inspect == "" {
		return c, p.Errorf("-inspect-actions needs -inspect")
	}
	return c, nil
}

// trusted reads which peers are proxies.
func trusted(list string) (berth.ProxyProtocol, error) {
	p := berth.ProxyProtocol{Enabled: true}
	for peers := range strings.SplitSeq(list, ",") {
		if peers == "unix" {
			p.TrustUnix = true
			continue
		}
		prefix, err := netip.ParsePrefix(peers)
		if err != nil {
			return p, fmt.Errorf("%q is no prefix as 10.0.0.0/8 is one", peers)
		}
		p.TrustedProxies = append(p.TrustedProxies, prefix)
	}
	return p, nil
}
