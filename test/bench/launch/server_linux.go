package launch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-berth/berth/test/bench/plan"
)

const (
	startTimeout = 10 * time.Second
	stopTimeout  = 3 * time.Second
	announcement = "listening on "
)

// Server is a running server process.
type Server struct {
	Addr string
	PID  int

	command *exec.Cmd
	said    *tail         // the end of its standard error
	ended   chan struct{} // closed when the process has been reaped
	exit    error         // how it ended; after ended
}

// Start starts a server for a case and waits until it says where it listens.
func (b *Binaries) Start(ctx context.Context, server plan.Server, forCase plan.Case) (*Server, error) {
	args := slices.Clone(server.Args)
	if forCase.Sleep > 0 {
		args = append(args, "-sleep", forCase.Sleep.String())
	}
	command := exec.Command(b.path(server.Binary), args...)
	command.Env = environment(forCase.Environment)
	// If the benchmark is killed, its servers end with it.
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	s := &Server{command: command, said: &tail{}, ended: make(chan struct{})}
	command.Stderr = s.said
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("the server does not start: %w", err)
	}
	s.PID = command.Process.Pid
	if err := s.await(ctx, output); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

// await reads standard output until the announcement, and goes on reading after it so that the
// server never blocks on a full pipe. That goroutine ends with the process, and reaps it.
func (s *Server) await(ctx context.Context, output io.Reader) error {
	announced := make(chan string, 1)
	go func() {
		lines := bufio.NewReader(output)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				break
			}
			if addr, ok := strings.CutPrefix(line, announcement); ok {
				select {
				case announced <- strings.TrimSpace(addr):
				default: // said before
				}
			}
		}
		s.exit = s.command.Wait()
		close(s.ended)
	}()
	select {
	case s.Addr = <-announced:
		return nil
	case <-s.ended:
		return fmt.Errorf("the server ended before it listened: %s", s.said.orError(s.exit))
	case <-time.After(startTimeout):
		return fmt.Errorf("the server did not say %q within %s", announcement, startTimeout)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Died says whether the process has ended by itself, and with which message.
func (s *Server) Died() error {
	select {
	case <-s.ended:
		return fmt.Errorf("the server ended during the run: %s", s.said.orError(s.exit))
	default:
		return nil
	}
}

// Stop asks the process to end, and kills it after stopTimeout. A signal fails only if the process
// has ended already.
func (s *Server) Stop() {
	_ = s.command.Process.Signal(syscall.SIGTERM)
	after := time.AfterFunc(stopTimeout, func() { _ = s.command.Process.Kill() })
	defer after.Stop()
	<-s.ended
}

// environment is ours without the variables that tune a Go runtime, plus those that the case sets:
// a GOGC in the user's shell must not decide a comparison with servers that are not in Go.
func environment(additional []string) []string {
	tuning := []string{"GOGC=", "GOMEMLIMIT=", "GODEBUG=", "GOMAXPROCS=", "GOTRACEBACK="}
	kept := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return slices.ContainsFunc(tuning, func(name string) bool { return strings.HasPrefix(variable, name) })
	})
	return append(kept, additional...)
}

// tail keeps the last bytes written to it.
type tail struct{ bytes []byte }

func (t *tail) Write(p []byte) (int, error) {
	const most = 2 << 10
	t.bytes = append(t.bytes, p...)
	if len(t.bytes) > most {
		t.bytes = slices.Clone(t.bytes[len(t.bytes)-most:])
	}
	return len(p), nil
}

// orError is the last line said, or the error if there is none. It is for a process that has ended.
func (t *tail) orError(err error) string {
	lines := strings.Split(strings.TrimSpace(string(t.bytes)), "\n")
	if last := lines[len(lines)-1]; last != "" {
		return last
	}
	if err == nil {
		err = errors.New("exit status 0")
	}
	return err.Error()
}
