//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// A process that inherits sockets is this test binary again. This variable is set to what it shall
// do.
const successorVariable = "BERTH_TEST_SUCCESSOR"

const (
	describes  = "describe" // says what it inherited
	serves     = "serve"    // serves it, and says Ready
	hesitates  = "hesitate" // serves it, and says Ready once it is told to
	givesUp    = "give up"  // exits with status 3
	neverReady = "never be ready"
)

// TestMainOfTheSuccessor is that process. It reports what it does line by line, and ends with its
// input.
func TestMainOfTheSuccessor(t *testing.T) {
	task := os.Getenv(successorVariable)
	if task == "" {
		t.Skip("a part of another test")
	}
	said := bufio.NewScanner(os.Stdin)
	switch task {
	case describes:
		description, err := json.Marshal(describe())
		require.NoError(t, err)
		fmt.Println("description", string(description))
		return
	case givesUp:
		os.Exit(3)
	case neverReady:
		fmt.Println("serving none")
		said.Scan()
		return
	}
	w := newWorld()
	inherited, err := Inherited()
	require.NoError(t, err)
	var servers []*Listener
	for _, l := range inherited {
		server, err := Serve(w.Root, l, of(voice("new")), Options{Connection: brisk})
		require.NoError(t, err)
		servers = append(servers, server)
	}
	fmt.Println("serving", len(servers))
	if task == hesitates {
		require.True(t, said.Scan())
	}
	require.NoError(t, Ready())
	require.NoError(t, Ready(), "a second time it does nothing")
	said.Scan()
	for _, server := range servers {
		require.NoError(t, server.Shutdown(within(t, patience)))
	}
	assert.Empty(t, w.actors())
}

// description holds what a process inherited, and what it has left.
type description struct {
	Err         string
	Sockets     []socketDescription
	Environment []string // what is left of the variables
	Again       int      // sockets that a second call returned
	Files       []uint64 // the inodes of all its descriptors
	Passed      []uint64 // of those, the ones that a child of it would inherit
}

type socketDescription struct {
	Name, Network, Addr string
	Managed             bool
}

func describe() (d description) {
	byName, err := InheritedByName()
	if err != nil {
		d.Err = err.Error()
	}
	for name, listeners := range byName {
		for _, l := range listeners {
			d.Sockets = append(d.Sockets, socketDescription{name, l.Addr().Network(), l.Addr().String(), originOf(l).managed})
		}
	}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); slices.Contains(variables, name) {
			d.Environment = append(d.Environment, variable)
		}
	}
	again, err := Inherited()
	if err != nil {
		d.Err += err.Error()
	}
	d.Again = len(again)
	for fd := range 256 {
		if inode := inodeOf(fd); inode != 0 {
			d.Files = append(d.Files, inode)
		}
	}
	d.Passed = passed()
	return d
}

// passed returns the inodes of the descriptors that a child would inherit, besides the standard
// ones.
func passed() (inodes []uint64) {
	for fd := firstInherited; fd < 256; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			inodes = append(inodes, inodeOf(fd))
		}
	}
	return inodes
}

// inodeOf returns 0 for a descriptor that is not open.
func inodeOf(fd int) uint64 {
	var stat syscall.Stat_t
	if syscall.Fstat(fd, &stat) != nil {
		return 0
	}
	return uint64(stat.Ino) //nolint:unconvert // 32 bits on some BSDs
}

// successor is that process as its parent sees it.
type successor struct {
	t       *testing.T
	command *exec.Cmd
	in      *os.File
	out     *bufio.Scanner
}

// newSuccessor returns a successor that is not started yet. The end of the test waits for its end.
func newSuccessor(t *testing.T, task string) *successor {
	t.Helper()
	command := exec.Command(os.Args[0], "-test.run=^TestMainOfTheSuccessor$", "-test.timeout=60s", "-test.count=1")
	command.Env = append(os.Environ(), successorVariable+"="+task)
	command.Stderr = os.Stderr
	theirs, in, err := os.Pipe()
	require.NoError(t, err)
	out, theirOut, err := os.Pipe()
	require.NoError(t, err)
	command.Stdin, command.Stdout = theirs, theirOut
	s := &successor{t, command, in, bufio.NewScanner(out)}
	t.Cleanup(func() {
		_ = theirs.Close()
		_ = theirOut.Close()
		s.end()
		_ = out.Close()
	})
	return s
}

// await reads up to a line that begins with prefix, and returns what follows it.
func (s *successor) await(prefix string) string {
	s.t.Helper()
	for s.out.Scan() {
		if rest, found := strings.CutPrefix(s.out.Text(), prefix); found {
			return rest
		}
	}
	require.FailNow(s.t, "the process has ended", "without saying %q", prefix)
	return ""
}

// end lets the process end, and waits for it.
func (s *successor) end() {
	_ = s.in.Close()
	if s.command.Process != nil && s.command.ProcessState == nil {
		assert.NoError(s.t, s.command.Wait())
	}
}

// given starts the process as a service manager does: a shell knows its own number before it
// becomes the program.
func (s *successor) given(files []*os.File, variables ...string) description {
	s.t.Helper()
	s.command.Args = append([]string{"sh", "-c", `eval export $0; exec "$@"`, strings.Join(variables, " "), s.command.Path}, s.command.Args[1:]...)
	shell, err := exec.LookPath("sh")
	require.NoError(s.t, err)
	s.command.Path = shell
	s.command.ExtraFiles = files
	require.NoError(s.t, s.command.Start())
	var d description
	s.read(&d)
	return d
}

// read reads what a process that describes says, and waits for its end.
func (s *successor) read(d *description) {
	s.t.Helper()
	require.NoError(s.t, json.Unmarshal([]byte(s.await("description ")), d))
	s.end()
}

// assertLetGo requires that the process kept none of files, where the kernel numbers sockets.
func (d *description) assertLetGo(t *testing.T, files []*os.File) {
	t.Helper()
	for _, file := range files {
		if runtime.GOOS == "linux" && file != nil {
			assert.NotContains(t, d.Files, inodeOf(int(file.Fd())), file.Name())
		}
	}
}

// fileOf returns the descriptor of a socket or a listener, for another process.
func fileOf(t *testing.T, of interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	file, err := of.File()
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	return file
}

// listenOn opens a listening socket that the test closes.
func listenOn(t *testing.T, network, addr string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}
