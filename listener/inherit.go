package listener

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
)

// Inherited returns the listening sockets that this process was started with, in the order in which
// they were given: by a service manager as sd_listen_fds(3) describes it (systemd's socket
// activation), or by the process before it, with Reexec. No sockets are no error: then the program
// listens by itself. Serve takes the returned listeners.
//
// It takes them once. It removes the environment variables that describe them and has the
// descriptors closed on exec, so that no child of this process takes them for its own. Call it
// before any child is started. An error is one sentence, about variables that make no sense or a
// descriptor that is no listening TCP or unix socket, and then none of the descriptors is left
// open.
//
// A service manager keeps its sockets. So a listener that serves one of them does not remove a unix
// socket's path, and its shutdown leaves the clients in the backlog to the next process. The path
// of a socket that came by Reexec is the old process's until Ready; from then on the listener that
// serves it removes it.
func Inherited() ([]net.Listener, error) {
	sockets, err := inherit()
	var all []net.Listener
	for _, s := range sockets {
		all = append(all, s.listener)
	}
	return all, err
}

// InheritedByName is Inherited for programs with several sockets: it returns them by the names that
// FileDescriptorName= gives them in systemd's socket units, "unknown" where there are none. Reexec
// passes the names on. Several sockets may have the same name.
func InheritedByName() (map[string][]net.Listener, error) {
	sockets, err := inherit()
	all := map[string][]net.Listener{}
	for _, s := range sockets {
		all[s.name] = append(all[s.name], s.listener)
	}
	return all, err
}

// The environment of sd_listen_fds(3), and what Reexec adds to it.
const (
	listenPID     = "LISTEN_PID" // the process that the other variables are meant for
	listenPIDFDID = "LISTEN_PIDFDID"
	listenFDs     = "LISTEN_FDS" // how many sockets there are, from descriptor firstInherited on
	listenFDNames = "LISTEN_FDNAMES"

	handoverVariable = "BERTH_HANDOVER" // a handover, in JSON

	firstInherited = 3
	unnamed        = "unknown"
)

// variables are all of them. Reading them removes them.
var variables = []string{listenPID, listenPIDFDID, listenFDs, listenFDNames, handoverVariable}

// handover is what Reexec tells the new process besides LISTEN_FDS. LISTEN_PID cannot be set: it
// names a process that is only known once it runs. So the old process names itself, and the new one
// sees whether that is its parent.
//
// The descriptor after the sockets is the pipe on which the old process waits for Ready.
type handover struct {
	Parent  int    `json:"parent"`
	Managed []bool `json:"managed"` // of each socket: a service manager had made it
	// Files are what the paths of unix sockets led to at their bind; zero for other sockets.
	Files []fileID `json:"files"`
}

// origin says where a listening socket came from.
type origin struct {
	name    string
	managed bool // a service manager made the socket, and keeps it
	reexec  bool // the process before this one gave it to us with Reexec
	file    fileID
}

// origins of the listeners that were inherited, *net.TCPListener or *net.UnixListener. They are
// few, and kept as long as the process lives.
var origins sync.Map

func originOf(l net.Listener) origin {
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener: // pointers: those of a user's own type may be no key of a map
		if o, inherited := origins.Load(l); inherited {
			return o.(origin)
		}
	}
	return origin{name: unnamed}
}

// given describes, from the environment, what this process was given.
type given struct {
	count   int
	names   []string // nil: none are given
	reexec  bool     // by Reexec: a pipe for Ready follows the sockets
	managed []bool   // of each socket; none by Reexec where it is shorter
	files   []fileID // likewise; zero where it is shorter
}

func (g *given) origin(i int) origin {
	o := origin{name: unnamed, managed: !g.reexec, reexec: g.reexec}
	if g.names != nil {
		o.name = g.names[i]
	}
	if i < len(g.managed) {
		o.managed = g.managed[i]
	}
	if i < len(g.files) {
		o.file = g.files[i]
	}
	return o
}

type inheritedSocket struct {
	origin
	listener net.Listener
}

func inherit() (sockets []inheritedSocket, err error) {
	g, err := takeEnvironment()
	if err != nil || g.count == 0 {
		return nil, err
	}
	files, err := claim(g)
	defer func() {
		for _, file := range files {
			_ = file.Close() // each listener has a duplicate
		}
		if err != nil {
			for _, s := range sockets {
				_ = s.listener.Close()
			}
			sockets = nil
		}
	}()
	if err != nil {
		return nil, err
	}
	if g.names != nil && len(g.names) != g.count {
		return nil, fmt.Errorf("berth: %s has %d names for %d descriptors", listenFDNames, len(g.names), g.count)
	}
	for i, file := range files[:g.count] {
		l, err := listenerOf(file)
		if err != nil {
			return sockets, fmt.Errorf("berth: inherited %s is no listening TCP or unix socket: %w", file.Name(), err)
		}
		sockets = append(sockets, inheritedSocket{g.origin(i), l})
	}
	for _, s := range sockets {
		origins.Store(s.listener, s.origin) // package net leaves the path of such a socket; see closeSocket
	}
	if g.reexec {
		waiting.set(files[g.count])
		files = files[:g.count]
	}
	return sockets, nil
}

// takeEnvironment reads the variables and removes them, whatever they say. Variables that are meant
// for another process are ignored: a parent that did not remove them leaves them in its children's
// environment.
func takeEnvironment() (g given, err error) {
	taken := map[string]string{}
	for _, name := range variables {
		if value, set := os.LookupEnv(name); set {
			taken[name] = value
			_ = os.Unsetenv(name)
		}
	}
	if text, set := taken[handoverVariable]; set {
		var from handover
		if err := json.Unmarshal([]byte(text), &from); err != nil {
			return given{}, fmt.Errorf("berth: %s is %q: %w", handoverVariable, text, err)
		}
		g.reexec, g.managed, g.files = from.Parent == os.Getppid(), from.Managed, from.Files
	}
	count, set := taken[listenFDs]
	if !set || !g.reexec && taken[listenPID] != strconv.Itoa(os.Getpid()) {
		return given{}, nil
	}
	n, err := strconv.ParseUint(count, 10, 16)
	if err != nil {
		return given{}, fmt.Errorf("berth: %s is %q, which is no number of descriptors", listenFDs, count)
	}
	g.count = int(n)
	if names, set := taken[listenFDNames]; set {
		g.names = strings.Split(names, ":")
	}
	return g, nil
}

// claim returns the files that were given to us, closed on exec from now on, also with an error.
// The error is about a descriptor that was not given: it is not open, or it is closed on exec
// already and so has not come through an exec. Then it belongs to other code in this process, and
// is left alone.
func claim(g given) (files []*os.File, err error) {
	most := g.count
	if g.reexec {
		most++
	}
	for fd := firstInherited; fd < firstInherited+most; fd++ {
		if problem := closeOnExec(fd); problem == nil {
			files = append(files, os.NewFile(uintptr(fd), fmt.Sprintf("descriptor %d", fd)))
		} else if err == nil {
			err = fmt.Errorf("berth: %s is %d, but descriptor %d was not inherited: %w", listenFDs, g.count, fd, problem)
		}
	}
	return files, err
}

// listenerOf returns a listener with a duplicate of the socket.
func listenerOf(file *os.File) (net.Listener, error) {
	if err := checkListening(int(file.Fd())); err != nil {
		return nil, err
	}
	l, err := net.FileListener(file)
	if err != nil {
		return nil, err
	}
	switch l.(type) {
	case *net.TCPListener, *net.UnixListener:
		return l, nil
	}
	_ = l.Close()
	return nil, fmt.Errorf("it is a %T", l)
}
