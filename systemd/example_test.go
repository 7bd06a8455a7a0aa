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
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)

	server, err := serve()
	if err != nil {
		log.Fatal(err)
	}
	if err := errors.Join(berth.Ready(), systemd.Ready()); err != nil {
		log.Fatal(err)
	}
	go func() {
		check := func(context.Context) error { server.Info(); return nil }
		if err := systemd.Watchdog(ctx, check); err != nil {
			log.Print(err)
		}
	}()
	for replaced := false; !replaced && ctx.Err() == nil; {
		select {
		case <-hangup:
			replaced = replace(ctx, server)
		case <-ctx.Done():
		}
	}
	tell(systemd.Stopping()) // nothing, if another process has replaced this one
	if err := server.Shutdown(context.Background()); err != nil {
		log.Print(err)
	}
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
