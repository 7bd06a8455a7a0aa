// Chat is a server with rooms, over lines of text. Each room is a Group: what is said is one
// payload for all members. A member that does not read misses lines, or is closed, as -slow says;
// no other member waits for it.
//
//	go run ./examples/chat
//	nc 127.0.0.1 7003
//
// A new member is in the room lobby. A line is said to the room, unless it begins with a slash:
//
//	/nick NAME       take a name
//	/join ROOM       go to another room
//	/who             the members of this room
//	/msg NAME TEXT   a line for one member
//	/quit            leave
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-berth/berth"
)

func main() {
	if err := run(os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// commandLine is what the flags say.
type commandLine struct {
	addr    string
	options berth.Options
}

// parse reads the command line. What is wrong with it is one sentence.
func parse(args []string) (c commandLine, err error) {
	flags := flag.NewFlagSet("chat", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var idle time.Duration
	var behind int
	slow := berth.SlowClose
	flags.StringVar(&c.addr, "addr", "127.0.0.1:7003", "address to listen on")
	flags.DurationVar(&idle, "idle-timeout", 30*time.Minute, "close a connection without traffic for so long (negative: never)")
	flags.IntVar(&behind, "behind", 64<<10, "bytes of lines that may wait for a member, beside what the kernel holds")
	flags.Func("slow", "what becomes of a member that is further behind: one of close, drop (default close)", func(word string) error {
		switch word {
		case "close":
			slow = berth.SlowClose
		case "drop":
			slow = berth.SlowDropNewest
		default:
			return errors.New("it is none of close, drop")
		}
		return nil
	})
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(os.Stderr)
		flags.Usage()
		return c, err
	} else if err != nil {
		return c, fmt.Errorf("chat: %w", err)
	}
	switch {
	case flags.NArg() > 0:
		return c, fmt.Errorf("chat: unexpected argument %q", flags.Arg(0))
	case behind < 4*longestLine:
		return c, fmt.Errorf("chat: -behind %d is less than four lines of %d bytes", behind, longestLine)
	}
	c.options = options(slow, behind, idle)
	return c, nil
}

// options bound what a member may be behind: the write queue, and the kernel's send buffer, which
// could be megabytes otherwise.
func options(slow berth.SlowPolicy, behind int, idle time.Duration) berth.Options {
	return berth.Options{
		SendBufferSize: 64 << 10,
		Connection: berth.ConnectionOptions{
			SlowConsumer:    slow,
			WriteBufferSize: behind,
			WriteQueueSize:  1024, // lines are short: the bytes count
			IdleTimeout:     idle,
		},
	}
}

func run(args []string, stdout, stderr io.Writer) error {
	c, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	first, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	logger := slog.New(slog.NewTextHandler(stderr, nil))
	slog.SetDefault(logger) // warnings of the actor system go there
	berth.Log(nil, logger)

	server, err := berth.Listen(c.addr, newHall().handlers(), c.options)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "listening on %s\n", server.Addr())

	select {
	case <-first.Done():
	case <-server.Done():
		return errors.New("chat: the listener has stopped")
	}
	second, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return server.Shutdown(second) // drains; cancelled, it aborts
}
