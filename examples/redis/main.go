// Redis serves a part of Redis' commands to clients of Redis, in RESP2 and RESP3, with pipelines,
// transactions and pub/sub. It shows a request and response server: a decoder of its own over
// Buffer, the answers of one Data in one write, back-pressure that closes no healthy client, and a
// Group for each channel.
//
//	go run ./examples/redis
//	redis-cli set greeting hello
package main

import (
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/internal/cli"
	"github.com/go-berth/berth/examples/redis/resp"
)

func main() { cli.Run("redis", run) }

func run(p *cli.Program) error {
	c, err := parse(p)
	if err != nil {
		return err
	}
	server, err := berth.Listen(c.addr, newServer(c.limits).handlers(), c.options)
	if err != nil {
		return err
	}
	return p.Serve(server) // drains on the first signal, aborts on the second
}

// commandLine is the command line.
type commandLine struct {
	addr    string
	limits  resp.Limits
	pending int
	idle    time.Duration
	options berth.Options
}

// parse reads the command line. What is wrong with it is one sentence.
func parse(p *cli.Program) (c commandLine, err error) {
	flags := p.Flags
	flags.StringVar(&c.addr, "addr", "127.0.0.1:6379", "address to listen on")
	flags.IntVar(&c.limits.Bulk, "max-bulk", resp.DefaultBulk, "most bytes of one argument")
	flags.IntVar(&c.limits.Command, "max-command", resp.DefaultCommand, "most bytes of one command")
	flags.IntVar(&c.pending, "max-pending", 16<<20, "bytes of replies that may wait for a client before nothing more is read of it; twice that many before a subscriber is closed")
	flags.DurationVar(&c.idle, "idle-timeout", 5*time.Minute, "close a connection without traffic for so long, subscribers excepted (negative: never)")
	flags.IntVar(&c.options.MaxConnections, "max-clients", 10000, "most connections open at once")
	flags.Int64Var(&c.options.MemoryBudget, "memory-budget", 0, "most bytes that all connections hold together, without commands that have not come whole (0: no limit)")
	if err := p.Begin(); err != nil {
		return c, err
	}
	switch {
	case c.limits.Bulk <= 0 || c.limits.Command <= 0:
		return c, p.Errorf("-max-bulk and -max-command must be more than 0")
	case c.pending < 64<<10 || c.pending > 1<<30:
		return c, p.Errorf("-max-pending %d is not between 64 KiB and 1 GiB", c.pending)
	}
	c.options.Connection = connectionOptions(c.pending, c.idle)
	c.options.WhenFull = berth.Reject
	c.options.RejectMessage = []byte("-ERR max number of clients reached\r\n")
	return c, nil
}
