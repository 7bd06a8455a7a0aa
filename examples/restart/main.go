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
// It also runs under systemd, which may open the socket for it:
//
//	# /etc/systemd/system/restart.socket
//	[Socket]
//	ListenStream=7002
//	[Install]
//	WantedBy=sockets.target
//
//	# /etc/systemd/system/restart.service
//	[Service]
//	Type=notify-reload
//	ExecStart=/usr/local/bin/restart
//	WatchdogSec=30
//	Restart=on-failure
//
// "systemctl reload restart" sends SIGHUP, and waits until the new process serves: the old one
// tells the manager that the new one is the service from then on. "systemctl restart restart" ends
// the old process before it starts the next: the manager keeps the socket, and clients wait in its
// backlog. The watchdog ends a process that does not answer.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/systemd"
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

	logger := slog.New(slog.NewTextHandler(stderr, nil))
	slog.SetDefault(logger) // warnings of the actor system go there
	berth.Log(nil, logger.With("process", os.Getpid()))

	options := berth.Options{Network: *network, Connection: berth.ConnectionOptions{
		IdleTimeout: 5 * time.Minute,
		// As many lines as can be read at once are answered at once: a line of one byte makes an
		// answer of nine.
		ReadBufferSize: 4 << 10, WriteBufferSize: 64 << 10,
	}}
	if *stream {
		options.Transport = berth.Stream
	}
	server, err := serve(*addr, options)
	if err != nil {
		return err
	}
	if err := errors.Join(berth.Ready(), systemd.Ready()); err != nil {
		return errors.Join(err, server.Close())
	}
	fmt.Fprintf(stdout, "listening on %s\n", server.Addr())
	end := watch(server)
	defer end()

	for replaced := false; !replaced && first.Err() == nil; {
		select {
		case <-hangup:
			replaced = replace(first, server, stdout, stderr)
		case <-first.Done():
		case <-server.Done():
			return errors.New("restart: the listener has stopped")
		}
	}
	tell(systemd.Stopping()) // nothing, after a restart: then another process is the service
	err = server.Shutdown(second(first))
	fmt.Fprintf(stdout, "process %d has ended\n", os.Getpid())
	return err
}

// second returns a context that is done at the second SIGTERM, for a shutdown that drains until
// then. A process that was replaced drains before it gets the first one.
func second(first context.Context) context.Context {
	ctx, abort := context.WithCancel(context.Background())
	context.AfterFunc(first, func() {
		again, _ := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		context.AfterFunc(again, abort)
	})
	return ctx
}

// serve listens at addr, unless the process was given a socket.
func serve(addr string, options berth.Options) (*berth.Server, error) {
	handler := berth.Handlers(func() berth.Handler { return lines{process: os.Getpid()} })
	inherited, err := berth.Inherited()
	switch {
	case err != nil:
		return nil, err
	case len(inherited) == 0:
		return berth.Listen(addr, handler, options)
	case len(inherited) > 1:
		return nil, fmt.Errorf("restart: it was given %d sockets and serves one", len(inherited))
	}
	return berth.Serve(inherited[0], handler, options)
}

// replace starts the new process. If that fails, this one serves on.
func replace(ctx context.Context, server *berth.Server, stdout, stderr io.Writer) bool {
	tell(systemd.Reloading())
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	process, err := berth.Reexec(ctx, nil, server)
	if err != nil {
		fmt.Fprintln(stderr, err)
		tell(systemd.Ready())
		return false
	}
	tell(systemd.MainPID(process.Pid))
	fmt.Fprintf(stdout, "process %d is replaced by %d\n", os.Getpid(), process.Pid)
	_ = process.Release() // it outlives this one
	return true
}

// watch tells the service manager that the server answers, as long as it does. The function that it
// returns ends that.
func watch(server *berth.Server) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var watching sync.WaitGroup
	watching.Go(func() {
		tell(systemd.Watchdog(ctx, func(ctx context.Context) error {
			err := ask(ctx, server)
			if err != nil && ctx.Err() != context.Canceled {
				slog.Warn("the server does not answer", "error", err)
			}
			return err
		}))
	})
	return func() {
		cancel()
		watching.Wait()
	}
}

// ask sends the server a line, as a client does. A server that is full lets this client wait like
// any other: there it is enough that the server knows it.
func ask(ctx context.Context, server *berth.Server) error {
	if info := server.Info(); info.Open >= info.MaxConnections {
		return nil
	}
	conn, err := new(net.Dialer).DialContext(ctx, server.Addr().Network(), server.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if _, err := io.WriteString(conn, "alive?\n"); err != nil {
		return err
	}
	_, err = bufio.NewReader(conn).ReadString('\n')
	return err
}

// tell logs that the service manager was not told something. The server serves nevertheless.
func tell(err error) {
	if err != nil {
		slog.Warn("the service manager does not know", "error", err)
	}
}
