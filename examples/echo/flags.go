package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/go-berth/berth/listener"
)

// parse turns the command line into options. What is wrong with it is one sentence.
func parse(args []string) (addr string, o listener.Options, err error) {
	flags := flag.NewFlagSet("echo", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.StringVar(&addr, "addr", "127.0.0.1:7000", "address to listen on, a path with -network unix")
	flags.StringVar(&o.Network, "network", "tcp", "tcp or unix")
	flags.IntVar(&o.Connection.ReadBufferSize, "read-buffer-size", 0, "most unread bytes per connection (0: default)")
	flags.IntVar(&o.Connection.WriteBufferSize, "write-buffer-size", 0, "most pending bytes per connection (0: default, negative: no limit)")
	flags.IntVar(&o.Connection.WriteQueueSize, "write-queue-size", 0, "most pending writes per connection (0: default, negative: no limit)")
	flags.DurationVar(&o.Connection.IdleTimeout, "idle-timeout", 5*time.Minute, "close a connection without traffic for so long (negative: never)")
	flags.IntVar(&o.MaxConnections, "max-connections", 0, "most connections open at once (0: default, negative: no limit)")
	choice(flags, &o.Transport, "transport", "how bytes move", listener.Auto, map[string]listener.Transport{"auto": listener.Auto, "stream": listener.Stream})
	choice(flags, &o.WhenFull, "when-full", "what happens beyond -max-connections", listener.Wait, map[string]listener.WhenFull{"wait": listener.Wait, "reject": listener.Reject})

	if err := flags.Parse(args); err == flag.ErrHelp {
		flags.SetOutput(os.Stderr)
		flags.Usage()
		return "", o, err
	} else if err != nil {
		return "", o, fmt.Errorf("echo: %w", err)
	}
	if flags.NArg() > 0 {
		return "", o, fmt.Errorf("echo: unexpected argument %q", flags.Arg(0))
	}
	if o.Network != "tcp" && o.Network != "unix" {
		return "", o, fmt.Errorf("echo: -network %q is neither tcp nor unix", o.Network)
	}
	return addr, o, nil
}

// choice defines a flag whose values are words.
func choice[T any](flags *flag.FlagSet, to *T, name, usage string, standard T, words map[string]T) {
	*to = standard
	flags.Func(name, usage, func(word string) error {
		value, ok := words[word]
		if !ok {
			return fmt.Errorf("%q is not one of the choices", word)
		}
		*to = value
		return nil
	})
}
