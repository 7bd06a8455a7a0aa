package peers

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

// root is the directory of the module of Berth.
const root = "../../.."

var built string // the path of examples/redis

// TestMain builds examples/redis once, in its own module, as a user builds it. go test does not
// notice that it has changed: -count=1 runs the tests again.
func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "peers")
	if err == nil {
		built = filepath.Join(dir, "redis.exe")
		build := exec.Command("go", "build", "-o", built, "./examples/redis")
		build.Dir, build.Stderr = root, os.Stderr
		err = build.Run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// example starts examples/redis and returns its address.
func example(t *testing.T, arguments ...string) string {
	t.Helper()
	return program.Start(t, built, append([]string{"-addr", "127.0.0.1:0"}, arguments...)...).Addr(t)
}

// tool returns the path of a program of Redis', or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: apt-get install redis-server redis-tools", name)
	}
	return path
}

// wire is a connection on which a test sees the bytes.
type wire struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func dial(t *testing.T, addr string) *wire {
	t.Helper()
	network := "tcp"
	if strings.HasPrefix(addr, "/") {
		network = "unix"
	}
	conn := program.Dial(t, network, addr)
	return &wire{t, conn, bufio.NewReader(conn)}
}

func (w *wire) send(args ...string) {
	w.t.Helper()
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	_, err := io.WriteString(w.conn, b.String())
	require.NoError(w.t, err)
}

// value reads one reply and returns its bytes.
func (w *wire) value() string {
	w.t.Helper()
	line, err := w.in.ReadString('\n')
	require.NoError(w.t, err, "after %q", line)
	n, _ := strconv.Atoi(strings.TrimSpace(line[1:]))
	switch line[0] {
	case '$', '=':
		if n >= 0 {
			rest := make([]byte, n+2)
			_, err := io.ReadFull(w.in, rest)
			require.NoError(w.t, err)
			line += string(rest)
		}
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		for range n {
			line += w.value()
		}
	}
	return line
}

// ends reads to the end of the connection and returns what came.
func (w *wire) ends() string {
	w.t.Helper()
	require.NoError(w.t, w.conn.SetReadDeadline(time.Now().Add(program.Limit)))
	rest, err := io.ReadAll(w.in)
	require.NoError(w.t, err)
	return string(rest)
}
