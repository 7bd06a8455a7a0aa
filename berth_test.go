package berth_test

import (
	"bytes"
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
)

func TestMain(m *testing.M) { setup.Main(m) }

const patience = setup.Patience

func echo(socket berth.Socket, data *berth.Buffer) error {
	_, err := socket.Forward(data)
	return err
}

// ask sends text to the server, then FIN, and returns what comes back.
func ask(t *testing.T, addr, text string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err = io.WriteString(conn, text)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	return string(answer)
}

// counter answers each chunk with the number of bytes so far; only Data is required of it.
type counter struct{ bytes int }

func (c *counter) Data(socket berth.Socket, data *berth.Buffer) error {
	c.bytes += data.Discard(data.Len())
	_, err := socket.Write([]byte(strings.Repeat("x", c.bytes)))
	return err
}

// parrot is a connection that is an actor.
type parrot struct{}

func (parrot) Receive(ctx actor.Context) {
	if m, ok := ctx.Message().(*berth.Data); ok {
		_, _ = m.Socket.Forward(m.Buffer)
	}
}

func TestEveryFormOfHandlerServes(t *testing.T) {
	for name, handler := range map[string]berth.Factory{
		"HandlerFunc": berth.HandlerFunc(echo),
		"Handlers":    berth.Handlers(func() berth.Handler { return &counter{} }),
		"Functions": berth.Functions[int]{Read: func(n int, socket berth.Socket, data *berth.Buffer) (int, error) {
			return n + data.Len(), echo(socket, data)
		}},
		"Actors": berth.Actors(func() actor.Actor { return parrot{} }),
	} {
		t.Run(name, func(t *testing.T) {
			server, err := berth.Listen("127.0.0.1:0", handler, berth.Options{})
			require.NoError(t, err)
			answer := ask(t, server.Addr().String(), "hello")
			if name == "Handlers" {
				assert.Equal(t, "xxxxx", answer)
			} else {
				assert.Equal(t, "hello", answer)
			}
			assert.NoError(t, server.Shutdown(t.Context()))
		})
	}
}

func TestTwoServersShareOneSystem(t *testing.T) {
	one, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(echo), berth.Options{})
	require.NoError(t, err)
	two, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(echo), berth.Options{})
	require.NoError(t, err)
	require.NoError(t, one.Close())
	assert.Equal(t, "still here", ask(t, two.Addr().String(), "still here"))
	require.NoError(t, two.Close())
}

// Options that cannot be served give an error of one sentence, and nothing is left.
func TestListenAndServeSaysWhyItDidNotBegin(t *testing.T) {
	assert.ErrorContains(t, berth.ListenAndServe("127.0.0.1:65536", berth.HandlerFunc(echo)), "invalid port")
	assert.EqualError(t, berth.ListenAndServe("127.0.0.1:0", nil), "berth: no handler: give one of HandlerFunc, Handlers, Functions, Actors")
	assert.EqualError(t, berth.ListenAndServe("127.0.0.1:0", berth.HandlerFunc(nil)), "berth: no HandlerFunc: it is nil")
}

// ender closes its own server from a connection.
func TestListenAndServeReturnsWhenTheServerHasEnded(t *testing.T) {
	ended := make(chan error, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0") // for a port that is free, most likely
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	parents := make(chan *actor.PID, 1)
	systems := make(chan *actor.ActorSystem, 1)
	native := berth.Actors(func() actor.Actor {
		return actor.ReceiveFunc(func(ctx actor.Context) {
			if _, ok := ctx.Message().(*berth.Data); ok {
				parents <- ctx.Parent()
				systems <- ctx.ActorSystem()
			}
		})
	})
	go func() { ended <- berth.ListenAndServe(addr, native) }()
	var conn net.Conn
	for began := time.Now(); ; {
		if conn, err = net.Dial("tcp", addr); err == nil || time.Since(began) > patience {
			break
		}
	}
	require.NoError(t, err)
	defer func() { _ = conn.Close() }()
	_, err = conn.Write([]byte("?"))
	require.NoError(t, err)
	parent, system := <-parents, <-systems
	listener := &actor.PID{Address: parent.Address, Id: strings.TrimSuffix(parent.Id, "/connections")}
	system.Root.Stop(listener)
	err = <-ended
	assert.ErrorIs(t, err, berth.ErrServerClosed)
	assert.ErrorIs(t, err, net.ErrClosed)
}

// recorder has every optional method but Draining.
type recorder struct {
	mu    sync.Mutex
	calls []string
	ended chan struct{}
}

func (r *recorder) note(call string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls = append(r.calls, call)
}

func (r *recorder) Accepted(berth.Socket) error { r.note("accepted"); return nil }
func (r *recorder) Data(s berth.Socket, b *berth.Buffer) error {
	r.note("data")
	return echo(s, b)
}
func (r *recorder) PeerClosed(s berth.Socket) error { r.note("peer closed"); return s.Close() }
func (r *recorder) Draining(berth.Socket, time.Time) error {
	r.note("draining")
	return nil
}
func (r *recorder) Closing(berth.Socket, *berth.Closing) { r.note("closing") }
func (r *recorder) Closed(berth.Socket, *berth.Closed)   { r.note("closed"); close(r.ended) }

func TestAWrappedHandlerLosesNoOptionalMethod(t *testing.T) {
	r := &recorder{ended: make(chan struct{})}
	var around []string
	handler := berth.Wrap(berth.Handlers(func() berth.Handler { return r }), func(next berth.Receiver) berth.Receiver {
		return berth.ReceiverFunc(func(ctx actor.Context, message any) error {
			if e, ok := message.(interface{ String() string }); ok {
				around = append(around, e.String())
			}
			r.note("before")
			return next.Receive(ctx, message)
		})
	})
	var options berth.Options
	options.Connection.KeepOpenOnPeerClosed = true
	server, err := berth.Listen("127.0.0.1:0", handler, options)
	require.NoError(t, err)
	assert.Equal(t, "hello", ask(t, server.Addr().String(), "hello"))
	<-r.ended
	require.NoError(t, server.Close())
	var calls []string
	for _, call := range r.calls {
		if call != "before" {
			calls = append(calls, call)
		}
	}
	assert.Equal(t, []string{"accepted", "data", "peer closed", "closing", "closed"}, calls)
	assert.Greater(t, len(r.calls), 2*len(calls)-1, "each call has passed the one around it")
}

func TestTheServersOwnSystemIsQuiet(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(func(berth.Socket, *berth.Buffer) error {
		return errors.New("the handler's own")
	}), berth.Options{})
	require.NoError(t, err)
	_ = ask(t, server.Addr().String(), "hello")
	require.NoError(t, server.Shutdown(context.Background()))
	assert.NotContains(t, log.String(), "INFO")
	assert.NotContains(t, log.String(), "level=info")
}

// The records of the package's own system are those of servers that are given no system.
func TestALogWithoutALoggerIsTheDefaultOnes(t *testing.T) {
	var text bytes.Buffer
	before, writer, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	defer func() {
		slog.SetDefault(before)
		log.SetOutput(writer) // SetDefault has changed both
		log.SetFlags(flags)
	}()
	stop := berth.Log(nil, nil)
	server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(echo), berth.Options{})
	require.NoError(t, err)
	require.NoError(t, server.Close())
	stop()
	assert.Contains(t, text.String(), "msg=stopped addr="+server.Addr().String())
	assert.NotContains(t, text.String(), "failed")
}

func TestServersWithoutASystemAreLogged(t *testing.T) {
	var log bytes.Buffer
	stop := berth.Log(nil, slog.New(slog.NewTextHandler(&log, nil)))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server, err := berth.Serve(l, berth.HandlerFunc(echo), berth.Options{})
	require.NoError(t, err)
	assert.Equal(t, "hello", ask(t, l.Addr().String(), "hello"))
	require.NoError(t, server.Shutdown(t.Context()))
	stop()
	assert.Contains(t, log.String(), "msg=listening addr="+l.Addr().String())
	assert.Contains(t, log.String(), "msg=stopped addr="+l.Addr().String())

	told := log.Len()
	server, err = berth.Listen("127.0.0.1:0", berth.HandlerFunc(echo), berth.Options{})
	require.NoError(t, err)
	require.NoError(t, server.Close())
	assert.Equal(t, told, log.Len(), "no record comes after stop")
}

// The record of a panic has the place of it.
func TestThePanicOfAHandlerIsLoggedWithItsStack(t *testing.T) {
	var log bytes.Buffer
	stop := berth.Log(nil, slog.New(slog.NewTextHandler(&log, nil)))
	server, err := berth.Listen("127.0.0.1:0", berth.HandlerFunc(func(berth.Socket, *berth.Buffer) error {
		panic("not today")
	}), berth.Options{})
	require.NoError(t, err)
	assert.Empty(t, ask(t, server.Addr().String(), "hello"))
	require.NoError(t, server.Shutdown(t.Context()))
	stop()
	assert.Regexp(t, `level=ERROR msg="handler failed" .*remote=127.0.0.1:\d+ .*not today.* stack="goroutine .*berth_test.go`, log.String())
}

// A page of go doc that is longer is not read.
func TestGoDocFitsTwoScreens(t *testing.T) {
	output, err := exec.Command("go", "doc", ".").CombinedOutput()
	require.NoError(t, err, "%s", output)
	lines := strings.Count(string(output), "\n")
	assert.Greater(t, lines, 60)
	assert.LessOrEqual(t, lines, 2*60)
}

// What the documentation of Handler shows is a list of the methods that its interfaces have.
func TestTheDocumentationOfHandlerShowsEveryMethod(t *testing.T) {
	interfaces := map[string]reflect.Type{
		"Handler":           reflect.TypeFor[berth.Handler](),
		"AcceptedHandler":   reflect.TypeFor[berth.AcceptedHandler](),
		"TLSStartedHandler": reflect.TypeFor[berth.TLSStartedHandler](),
		"PeerClosedHandler": reflect.TypeFor[berth.PeerClosedHandler](),
		"WritableHandler":   reflect.TypeFor[berth.WritableHandler](),
		"DrainingHandler":   reflect.TypeFor[berth.DrainingHandler](),
		"MessageHandler":    reflect.TypeFor[berth.MessageHandler](),
		"ClosingHandler":    reflect.TypeFor[berth.ClosingHandler](),
		"ClosedHandler":     reflect.TypeFor[berth.ClosedHandler](),
	}
	file, err := parser.ParseFile(token.NewFileSet(), "berth.go", nil, parser.ParseComments)
	require.NoError(t, err)
	var shown strings.Builder
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, is := n.(*ast.TypeSpec)
		if !is || !strings.HasSuffix(spec.Name.Name, "Handler") || spec.Name.Name == "RestartHandler" {
			return true
		}
		names = append(names, spec.Name.Name)
		if spec.Name.Name == "Handler" {
			for _, line := range spec.Doc.List {
				if method, is := strings.CutPrefix(line.Text, "//\t"); is {
					shown.WriteString(method + "\n")
				}
			}
		}
		return false
	})
	assert.ElementsMatch(t, slices.Collect(maps.Keys(interfaces)), names)

	expr, err := parser.ParseExpr("interface {\n" + shown.String() + "}")
	require.NoError(t, err)
	var documented, declared []string
	for _, method := range expr.(*ast.InterfaceType).Methods.List {
		signature := method.Type.(*ast.FuncType)
		for _, parameter := range signature.Params.List {
			parameter.Names = nil
		}
		documented = append(documented, method.Names[0].Name+strings.TrimPrefix(types.ExprString(signature), "func"))
	}
	for _, one := range interfaces {
		require.Equal(t, 1, one.NumMethod())
		method := one.Method(0)
		text := strings.NewReplacer("protocol.", "", "interface {}", "any").Replace(method.Type.String())
		declared = append(declared, method.Name+strings.TrimPrefix(text, "func"))
	}
	assert.ElementsMatch(t, declared, documented)
}
