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
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/internal/cli"
)

func main() { cli.Run("chat", run) }

func run(p *cli.Program) error {
	addr, options, err := parse(p)
	if err != nil {
		return err
	}
	server, err := berth.Listen(addr, newHall().handlers(), options)
	if err != nil {
		return err
	}
	return p.Serve(server) // drains on the first signal, aborts on the second
}

// parse reads the command line. What is wrong with it is one sentence.
func parse(p *cli.Program) (string, berth.Options, error) {
	var slow berth.SlowPolicy
	addr := p.Flags.String("addr", "127.0.0.1:7003", "address to listen on")
	idle := p.Flags.Duration("idle-timeout", 30*time.Minute, "close a connection without traffic for so long (negative: never)")
	behind := p.Flags.Int("behind", 64<<10, "bytes of lines that may wait for a member, beside what the kernel holds")
	cli.OneOf(p.Flags, &slow, "slow", "what becomes of a member that is further behind",
		cli.Choice[berth.SlowPolicy]{Word: "close", Value: berth.SlowClose},
		cli.Choice[berth.SlowPolicy]{Word: "drop", Value: berth.SlowDropNewest})
	if err := p.Begin(); err != nil {
		return "", berth.Options{}, err
	}
	if *behind < 4*longestLine {
		return "", berth.Options{}, p.Errorf("-behind %d is less than four lines of %d bytes", *behind, longestLine)
	}
	return *addr, options(slow, *behind, *idle), nil
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
