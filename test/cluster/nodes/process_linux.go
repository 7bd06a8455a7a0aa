package nodes

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/rpc"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"

	"github.com/go-berth/berth"
)

// pipe is both ends of a process's standard input and output.
type pipe struct {
	io.ReadCloser
	io.WriteCloser
}

func (p pipe) Close() error { return errors.Join(p.ReadCloser.Close(), p.WriteCloser.Close()) }

// Serve lets the process that has started this one call the exported methods of node, and those of
// a Meter, until it closes the pipe or ends. Nothing else may write to standard output.
func Serve(node any) error {
	server := rpc.NewServer()
	if err := server.RegisterName("Node", node); err != nil {
		return err
	}
	meter := &Meter{}
	stop := meter.sample()
	defer stop()
	if err := server.RegisterName("Meter", meter); err != nil {
		return err
	}
	server.ServeConn(pipe{os.Stdin, os.Stdout})
	return nil
}

// Process is a node that is a process of its own. One goroutine may use it.
type Process struct {
	client  *rpc.Client
	command *exec.Cmd
}

// Start runs this program once more, as the given role. Its standard error is that of this process.
func Start(as string) (*Process, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &Process{command: exec.Command(program)}
	p.command.Env = append(os.Environ(), role+"="+as)
	p.command.Stderr = os.Stderr
	in, err := p.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	p.client = rpc.NewClient(pipe{out, in})
	return p, nil
}

// Call calls a method of the node. answer is a pointer, or nil where there is no answer.
func (p *Process) Call(method string, request, answer any) error {
	if answer == nil {
		answer = &struct{}{}
	}
	if err := p.client.Call(method, request, answer); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	return nil
}

// Stop closes the pipe, which ends the process, and kills it where that takes 10 s.
func (p *Process) Stop() error {
	_ = p.client.Close()
	late := time.AfterFunc(10*time.Second, func() { _ = p.command.Process.Kill() })
	defer late.Stop()
	return p.command.Wait()
}

// frame is the largest frame of gRPC that a node takes. The remote puts up to 1,000 messages into
// one, and the default of 4 MiB would end the stream.
const frame = 64 << 20

// NewSystem returns an actor system with a remote that listens on a free port of loopback. Its
// queues grow as they are needed: by default each takes 16 MB at once.
func NewSystem() (*actor.ActorSystem, *remote.Remote) {
	system := berth.NewSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	r := remote.NewRemote(system, remote.Configure("127.0.0.1", 0, remote.WithServerOptions(grpc.MaxRecvMsgSize(frame)),
		remote.WithEndpointWriterQueueSize(1024), remote.WithEndpointManagerQueueSize(1024)))
	r.Start()
	return system, r
}

// Name gives a PID as text, for Parse in another process.
func Name(pid *actor.PID) string { return pid.Address + "/" + pid.Id }

// Parse returns the PID of a Name.
func Parse(name string) (*actor.PID, error) {
	address, id, found := strings.Cut(name, "/")
	if !found {
		return nil, fmt.Errorf("nodes: %q is no PID", name)
	}
	return actor.NewPID(address, id), nil
}
