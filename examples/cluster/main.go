// Cluster is a chat over several gateways. Rooms are subjects of a replicated store, so a client
// may come to any gateway, and a line that was acknowledged is not lost when a gateway or a node of
// the store is killed. A client that comes back goes on at the line where it was.
//
//	go run -C examples/cluster .
//
// shows three gateways and three nodes of the store in one process: clients chat while each of the
// six ends and starts again. With -stay the cluster serves on, and clients may join:
//
//	go run -C examples/cluster . client -name ada -room lobby -gateways ADDR,ADDR,ADDR
//
// The same as processes; each node and each gateway may be killed and started again:
//
//	cluster node -name a -dir /tmp/a -addr 127.0.0.1:4221 -cluster 127.0.0.1:6221 \
//	    -peers 127.0.0.1:6221,127.0.0.1:6222,127.0.0.1:6223
//	cluster gateway -addr 127.0.0.1:7011 \
//	    -store nats://127.0.0.1:4221,nats://127.0.0.1:4222,nats://127.0.0.1:4223
//
// A client writes these lines, and so may nc:
//
//	open NAME                   begins a session: "welcome TOKEN EPOCH"
//	resume TOKEN EPOCH NAME     goes on with one: "resumed EPOCH HANDLED"
//	join ROOM SEQUENCE          the lines after a sequence, or after "now": "joined ROOM SEQUENCE"
//	say NUMBER ROOM TEXT        line NUMBER of the session: "stored NUMBER" once a quorum has it
//	who ROOM                    "members ROOM NAME ..."
//	ping                        "pong"
//
// A member gets "line ROOM SEQUENCE NAME TEXT". What cannot be done is "refused WHAT WHY".
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/sessionnats"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is the whole program. It ends when ctx is done.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	slog.SetDefault(logger)
	role := "show"
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		role, args = args[0], args[1:]
	}
	flags := flag.NewFlagSet("cluster "+role, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	var node sessionnats.NodeOptions
	var addr, peers, store, name, room, gateways string
	var stay bool
	switch role {
	case "show":
		flags.BoolVar(&stay, "stay", false, "serve on after the show, until a signal")
	case "node":
		flags.StringVar(&node.Name, "name", "", "name of the node, which it keeps for ever")
		flags.StringVar(&node.Dir, "dir", "", "directory of its data")
		flags.StringVar(&node.Addr, "addr", "", "address for gateways")
		flags.StringVar(&node.Cluster, "cluster", "", "address for the other nodes")
		flags.StringVar(&peers, "peers", "", "these addresses of all nodes, with commas between them")
	case "gateway":
		flags.StringVar(&addr, "addr", "127.0.0.1:7010", "address to listen on")
		flags.StringVar(&store, "store", "", "URLs of the nodes of the store, with commas between them; none: a node in this process")
	case "client":
		flags.StringVar(&name, "name", "guest", "name of the client")
		flags.StringVar(&room, "room", "lobby", "room to join; each line of standard input is said there")
		flags.StringVar(&gateways, "gateways", "127.0.0.1:7010", "addresses of gateways, with commas between them")
	default:
		return fmt.Errorf("cluster: %q is none of show, node, gateway, client", role)
	}
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(stderr)
		flags.Usage()
		return err
	} else if err != nil {
		return fmt.Errorf("cluster: %w", err)
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("cluster: unexpected argument %q", flags.Arg(0))
	}
	switch role {
	case "node":
		if node.Name == "" || node.Dir == "" || node.Addr == "" {
			return errors.New("cluster: a node needs -name, -dir and -addr")
		}
		node.Peers, node.Log = split(peers), logger
		return serveNode(ctx, node, stdout)
	case "gateway":
		return serveGateway(ctx, addr, split(store), stdout)
	case "client":
		return chat(ctx, name, room, split(gateways), stdin, stdout)
	}
	return show(ctx, stay, stdout)
}

func split(list string) []string {
	return strings.FieldsFunc(list, func(r rune) bool { return r == ',' })
}

func serveNode(ctx context.Context, options sessionnats.NodeOptions, stdout io.Writer) error {
	node, err := sessionnats.StartNode(ctx, options)
	if err != nil {
		return err
	}
	defer node.Close()
	fmt.Fprintf(stdout, "listening on %s\n", node.URL())
	<-ctx.Done()
	return nil
}

func serveGateway(ctx context.Context, addr string, urls []string, stdout io.Writer) error {
	start, cancel := context.WithTimeout(ctx, time.Minute) // an election may be under way
	defer cancel()
	g, err := startGateway(start, addr, urls)
	if err != nil {
		return err
	}
	defer g.close()
	fmt.Fprintf(stdout, "listening on %s\n", g.name)
	select {
	case <-ctx.Done():
	case <-g.server.Done():
		return errors.New("cluster: the listener has stopped")
	}
	drain, stop := context.WithTimeout(context.Background(), 5*time.Second)
	defer stop()
	if err := g.server.Shutdown(drain); err != nil && !errors.Is(err, berth.ErrServerClosed) {
		return err
	}
	return nil
}

// chat is a client for a terminal.
func chat(ctx context.Context, name, room string, gateways []string, stdin io.Reader, stdout io.Writer) error {
	if len(gateways) == 0 || !word(name) || !word(room) {
		return errors.New("cluster: a client needs -gateways, and names of up to 32 letters, digits, - and _")
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var unstored sync.WaitGroup
	c := newClient(name, gateways, events{
		connected: func(gateway string) { fmt.Fprintf(stdout, "* at %s\n", gateway) },
		ended:     func(err error) { fmt.Fprintf(stdout, "* %v: trying another gateway\n", err) },
		stored:    func(uint64) { unstored.Done() },
		line:      func(_ string, l line) { fmt.Fprintf(stdout, "%s: %s\n", l.name, l.text) },
		members: func(room string, names []string) {
			fmt.Fprintf(stdout, "* in %s: %s\n", room, strings.Join(names, " "))
		},
	})
	c.join(room, "0")
	var typing sync.WaitGroup
	typing.Go(func() {
		defer stop()
		input := bufio.NewScanner(stdin)
		for input.Scan() && ctx.Err() == nil {
			switch text := input.Text(); text {
			case "":
			case "/who":
				c.who(room)
			default:
				unstored.Add(1)
				if _, err := c.say(ctx, room, text); err != nil {
					fmt.Fprintf(stdout, "* not said: %v\n", err)
					return
				}
			}
		}
		done := make(chan struct{})
		go func() { unstored.Wait(); close(done) }() // it ends with the process
		select {
		case <-done: // every line is stored
		case <-ctx.Done():
		}
	})
	err := c.run(ctx)
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}
