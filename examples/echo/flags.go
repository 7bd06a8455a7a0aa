package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
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
	oneOf(flags, &o.Transport, "transport", "how bytes move", []choice[listener.Transport]{
		{"auto", listener.Auto},
		{"stream", listener.Stream},
	})
	oneOf(flags, &o.WhenFull, "when-full", "what becomes of a client beyond -max-connections", []choice[listener.WhenFull]{
		{"wait", listener.Wait},
		{"reject", listener.Reject},
	})

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

// choice is one value of a flag whose values are words.
type choice[T any] struct {
	word  string
	value T
}

// oneOf defines such a flag. The first choice is the default.
func oneOf[T any](flags *flag.FlagSet, to *T, name, usage string, choices []choice[T]) {
	*to = choices[0].value
	words := make([]string, len(choices))
	for i, c := range choices {
		words[i] = c.word
	}
	all := strings.Join(words, ", ")
	flags.Func(name, fmt.Sprintf("%s: one of %s (default %s)", usage, all, words[0]), func(word string) error {
		for _, c := range choices {
			if c.word == word {
				*to = c.value
				return nil
			}
		}
		return fmt.Errorf("it is none of %s", all)
	})
}
