package attack

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth"
)

// serverVariable tells this program that it is the server under attack, and its setting.
const serverVariable = "BERTH_ATTACKED"

// setting is how the server is started.
type setting struct {
	Transport      berth.Transport
	MaxConnections int
	Connection     struct{ IdleTimeout, WriteTimeout time.Duration }
	Files          uint64 // RLIMIT_NOFILE; 0: as it is
}

func TestMain(m *testing.M) {
	if text := os.Getenv(serverVariable); text != "" {
		if err := serve(text); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// serve is the server: every line is answered with the same line.
func serve(text string) error {
	var s setting
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	if s.Files > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: s.Files, Max: s.Files}); err != nil {
			return err
		}
	}
	slog.SetDefault(slog.New(slog.DiscardHandler))
	server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(lines), berth.Options{
		Transport: s.Transport, MaxConnections: s.MaxConnections,
		Connection: berth.ConnectionOptions{IdleTimeout: s.Connection.IdleTimeout, WriteTimeout: s.Connection.WriteTimeout},
	})
	if err != nil {
		return err
	}
	fmt.Println(server.Addr())
	_, _ = os.Stdin.Read(make([]byte, 1)) // until the process that started this one has gone
	return server.Close()
}

func lines(socket berth.Socket, buffer *berth.Buffer) error {
	for {
		line, ok := buffer.ReadLine()
		if !ok {
			return nil
		}
		if _, err := fmt.Fprintf(socket, "%s\n", line); err != nil {
			return err
		}
	}
}

// start starts the server; it ends with the test.
func start(t *testing.T, s setting) Target {
	t.Helper()
	text, err := json.Marshal(s)
	require.NoError(t, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), serverVariable+"="+string(text))
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	require.NoError(t, err)
	stdout, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	t.Cleanup(func() {
		_ = stdin.Close()
		_ = command.Wait()
	})
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	require.NoError(t, err, "the server says where it listens")
	return Target{Addr: strings.TrimSpace(addr), PID: command.Process.Pid}
}

// strict is a server with short timeouts.
func strict(transport berth.Transport) setting {
	s := setting{Transport: transport}
	s.Connection.IdleTimeout, s.Connection.WriteTimeout = 2*time.Second, 2*time.Second
	return s
}

// overEach runs a test over both transports.
func overEach(t *testing.T, test func(t *testing.T, transport berth.Transport)) {
	for name, transport := range map[string]berth.Transport{"poll": berth.Poll, "stream": berth.Stream} {
		t.Run(name, func(t *testing.T) { test(t, transport) })
	}
}
