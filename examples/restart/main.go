// Restart is a server that is replaced while it serves, and of whose clients none loses a request.
// On SIGHUP it starts its program anew, hands it the listening socket, and drains; on SIGTERM it
// drains, on a second one it aborts.
//
//	go run ./examples/restart
//	nc 127.0.0.1 7002
//	pkill -HUP restart
//
// It answers each line with the number of its process and the line. At any time it may say, in a
// line of its own,
//
//	reconnect
//
// which means: this process goes. It still answers whatever comes on this connection, and it does
// not close it first, unless the time for its shutdown is over. The client closes once it has the
// answers it waits for, and connects again. So there is no moment at which a request meets a
// connection that the server has just closed.
//
// It also runs under a service manager that opens the socket for it. With systemd,
//
//	# /etc/systemd/system/restart.socket
//	[Socket]
//	ListenStream=7002
//	[Install]
//	WantedBy=sockets.target
//
//	# /etc/systemd/system/restart.service
//	[Service]
//	ExecStart=/usr/local/bin/restart
//
// a new version is put into its place by "systemctl restart restart": the old process drains, the
// manager keeps the socket, and clients wait in its backlog for the new one. SIGHUP is for
// everywhere else: systemd takes the end of the process that it started for the end of the service.
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

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
)

func main() {
	err := run(os.Args[1:], os.Stdout, os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// startLimit is how long the new process may take until it serves.
const startLimit = 20 * time.Second

func run(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("restart", flag.ContinueOnError)
	addr := flags.String("addr", "127.0.0.1:7002", "address to listen on, a path with -network unix")
	network := flags.String("network", "tcp", "tcp or unix")
	stream := flags.Bool("stream", false, "use the stream transport")
	if err := flags.Parse(args); err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	first, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	system := tcpactor.NewSystem(actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger {
		return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	}))
	listener.Log(system, slog.New(slog.NewTextHandler(stderr, nil)).With("process", os.Getpid()))

	options := listener.Options{Network: *network, Connection: connection.Options{
		IdleTimeout: 5 * time.Minute,
		// As many lines as can be read at once are answered at once: a line of one byte makes an
		// answer of nine.
		ReadBufferSize: 4 << 10, WriteBufferSize: 64 << 10,
	}}
	if *stream {
		options.Transport = listener.Stream
	}
	server, err := serve(system, *addr, options)
	if err != nil {
		return err
	}
	if err := listener.Ready(); err != nil {
		return errors.Join(err, server.Close())
	}
	fmt.Fprintf(stdout, "listening on %s\n", server.Addr())

	for replaced := false; !replaced && first.Err() == nil; {
		select {
		case <-hangup:
			replaced = replace(first, server, stdout, stderr)
		case <-first.Done():
		case <-server.Done():
			return errors.New("restart: the listener has stopped")
		}
	}
	stop()
	second, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = server.Shutdown(second) // drains; cancelled, it aborts
	fmt.Fprintf(stdout, "process %d has ended\n", os.Getpid())
	return err
}

// serve listens at addr, unless the process was given a socket.
func serve(system *actor.ActorSystem, addr string, options listener.Options) (*listener.Listener, error) {
	factory := tcpactor.Handlers(func() tcpactor.Handler { return lines{process: os.Getpid()} })
	inherited, err := listener.Inherited()
	switch {
	case err != nil:
		return nil, err
	case len(inherited) == 0:
		return listener.Listen(system.Root, addr, factory, options)
	case len(inherited) > 1:
		return nil, fmt.Errorf("restart: it was given %d sockets and serves one", len(inherited))
	}
	return listener.Serve(system.Root, inherited[0], factory, options)
}

// replace starts the new process. If that fails, this one serves on.
func replace(ctx context.Context, server *listener.Listener, stdout, stderr io.Writer) bool {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	process, err := listener.Reexec(ctx, nil, server)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return false
	}
	fmt.Fprintf(stdout, "process %d is replaced by %d\n", os.Getpid(), process.Pid)
	_ = process.Release() // it outlives this one
	return true
}
