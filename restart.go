package berth

import (
	"context"
	"net"
	"os"
	"os/exec"

	"github.com/go-berth/berth/listener"
)

// Inherited returns the listening sockets that this process was started with, in order: by a
// service manager such as systemd, or by Reexec. Serve takes each. None is no error: the program
// listens by itself.
//
// A program calls it once, before it starts another process. The error says which variable or
// descriptor makes no sense; no descriptor is left open then.
func Inherited() ([]net.Listener, error) { return listener.Inherited() }

// InheritedByName is Inherited for programs with several sockets. The names are those of
// FileDescriptorName= in systemd's socket units, "unknown" without one.
func InheritedByName() (map[string][]net.Listener, error) { return listener.InheritedByName() }

// Reexec starts this program again with the listening sockets of servers, and returns once the new
// process has called Ready. From then on both serve, and the caller shuts its servers down. A nil
// command is this program's file, arguments, environment, directory and standard files.
//
// With an error nothing has changed, and this process serves on. The new process did not start, or
// it ended before it was ready, or it was killed because ctx was over or a server was shut down.
// Any goroutine may call Reexec; a handler should not, because it waits. Windows cannot do it.
func Reexec(ctx context.Context, command *exec.Cmd, servers ...*Server) (*os.Process, error) {
	return listener.Reexec(ctx, command, servers...)
}

// Ready tells the process that called Reexec that this one serves. A program calls it once every
// socket of Inherited is served; in a process that Reexec did not start it does nothing. An error
// means that the old process has gone without hearing it: this program should end.
func Ready() error { return listener.Ready() }
