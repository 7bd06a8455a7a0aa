// Package cli has what the example servers share and what is not about Berth: flags, log
// records, signals, and a certificate for one run. With it a main file shows how Berth is used.
//
//	func main() { cli.Run("echo", run) }
//
//	func run(p *cli.Program) error {
//		addr := p.Flags.String("addr", "127.0.0.1:7000", "address to listen on")
//		if err := p.Begin(); err != nil {
//			return err
//		}
//		server, err := berth.Listen(*addr, handler, berth.Options{})
//		if err != nil {
//			return err
//		}
//		return p.Serve(server)
//	}
package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/go-berth/berth"
)

// Program is one run of a server. Its methods are called by the function that Run was given.
type Program struct {
	// Flags are those of the command line. They are defined before Begin.
	Flags *flag.FlagSet
	// Log writes to standard error. It is set by Begin.
	Log *slog.Logger

	args           []string
	stdout, stderr io.Writer
	first          context.Context // done at the first signal
	ignore         func()          // ends that
}

// Run is the main function of a program with this name: it calls serve. An error that serve returns
// is written to standard error, and the process exits with status 1.
func Run(name string, serve func(*Program) error) {
	if err := run(name, os.Args[1:], os.Stdout, os.Stderr, serve); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(name string, args []string, stdout, stderr io.Writer, serve func(*Program) error) error {
	p := &Program{Flags: flag.NewFlagSet(name, flag.ContinueOnError), args: args, stdout: stdout, stderr: stderr, ignore: func() {}}
	p.Flags.SetOutput(io.Discard)
	err := serve(p)
	p.ignore()
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// Begin reads the command line. From then on the events of Berth's servers are logged, and SIGINT
// and SIGTERM no longer end the process: Serve waits for them. The error is one sentence, or
// flag.ErrHelp after -help.
func (p *Program) Begin() error {
	err := p.Flags.Parse(p.args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		p.Flags.SetOutput(p.stderr)
		p.Flags.Usage()
		return err
	case err != nil:
		return p.Errorf("%w", err)
	case p.Flags.NArg() > 0:
		return p.Errorf("unexpected argument %q", p.Flags.Arg(0))
	}
	p.first, p.ignore = signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p.Log = slog.New(slog.NewTextHandler(p.stderr, nil))
	slog.SetDefault(p.Log) // warnings of the actor system go there
	berth.Log(nil, p.Log)
	return nil
}

// Errorf returns an error that begins with the program's name.
func (p *Program) Errorf(format string, args ...any) error {
	return fmt.Errorf(p.Flags.Name()+": "+format, args...)
}

// Serve says where the server listens, and waits for the first signal: then the server drains. A
// second signal aborts the connections that are left; Serve returns an error that counts them.
func (p *Program) Serve(server *berth.Server) error {
	return p.Until(server.Addr(), server.Done(), server.Shutdown)
}

// Until is Serve for any server: done is closed if it ends by itself, and shutdown drains it until
// its context is cancelled.
func (p *Program) Until(addr net.Addr, done <-chan struct{}, shutdown func(context.Context) error) error {
	_, _ = fmt.Fprintf(p.stdout, "listening on %s\n", addr)
	select {
	case <-p.first.Done():
	case <-done:
		return p.Errorf("the listener has stopped")
	}
	second, ignore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer ignore()
	return shutdown(second)
}
