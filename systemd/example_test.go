package systemd_test

import (
	"context"
	"errors"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/systemd"
)

// A server under a unit with Type=notify-reload and WatchdogSec=30.
func Example() {
	if err := run(); err != nil {
		log.Fatal(err)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)

	server, err := serve()
	if err != nil {
		return err
	}
	if err := errors.Join(berth.Ready(), systemd.Ready()); err != nil {
		return err
	}
	go func() {
		alive := func(context.Context) error { server.Info(); return nil }
		tell(systemd.Watchdog(ctx, alive))
	}()
	for replaced := false; !replaced && ctx.Err() == nil; {
		select {
		case <-hangup:
			replaced = replace(ctx, server)
		case <-ctx.Done():
		}
	}
	tell(systemd.Stopping()) // nothing, if another process has replaced this one
	return server.Shutdown(context.Background())
}

func serve() (*berth.Server, error) {
	echo := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		_, err := socket.Forward(data)
		return err
	})
	inherited, err := berth.Inherited()
	if err != nil {
		return nil, err
	}
	if len(inherited) == 0 {
		return berth.Listen("127.0.0.1:7000", echo, berth.Options{})
	}
	return berth.Serve(inherited[0], echo, berth.Options{})
}

func replace(ctx context.Context, server *berth.Server) bool {
	tell(systemd.Reloading())
	process, err := berth.Reexec(ctx, nil, server)
	if err != nil {
		log.Print(err)
		tell(systemd.Ready()) // this process serves on
		return false
	}
	tell(systemd.MainPID(process.Pid))
	return true
}

// tell logs that the manager was not told. The server serves nevertheless.
func tell(err error) {
	if err != nil {
		log.Print(err)
	}
}
