package requests

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a dialer on a network in memory, in virtual time.
type world struct {
	t      *testing.T
	system *actor.ActorSystem
	dialer *listener.Dialer
}

func inWorld(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, system: tcpactor.NewSystem(setup.Silent()...)}
		var err error
		w.dialer, err = listener.NewDialer(w.system.Root, listener.Options{Transport: listener.Stream})
		require.NoError(t, err)
		test(t, w)
		require.NoError(t, w.dialer.Close())
		time.Sleep(2 * time.Second) // the dead letters' throttle
		synctest.Wait()
	})
}

// peer is the server's end, which the test plays.
type peer struct {
	*simnet.Conn
	t     *testing.T
	lines *bufio.Reader
}

// open makes a connection with the handler.
func (w *world) open(handler tcpactor.Factory, options listener.DialOptions) (*peer, protocol.Socket) {
	w.t.Helper()
	here, there := simnet.Pipe(simnet.Options{BufferSize: 1000})
	socket, err := w.dialer.Adopt(w.t.Context(), here, handler, options)
	require.NoError(w.t, err)
	synctest.Wait()
	w.t.Cleanup(func() { _ = there.Close() })
	return &peer{there, w.t, bufio.NewReader(there)}, socket
}

// gets requires that the next lines are these.
func (p *peer) gets(want ...string) {
	p.t.Helper()
	for _, one := range want {
		line, err := p.lines.ReadString('\n')
		require.NoError(p.t, err)
		require.Equal(p.t, one+"\n", line)
	}
}

func (p *peer) says(lines ...string) {
	p.t.Helper()
	for _, line := range lines {
		_, err := io.WriteString(p, line+"\n")
		require.NoError(p.t, err)
	}
	synctest.Wait()
}

func readLine(b *protocol.Buffer) (string, error) {
	line, whole := b.ReadLine()
	switch {
	case !whole:
		return "", frame.ErrIncomplete
	case string(line) == "bad":
		return "", errBad
	}
	return string(line), nil
}

func linesOf() Read[string]         { return readLine }
func numbered() ReadID[int, string] { return readNumbered }

// readNumbered reads "1 text".
func readNumbered(b *protocol.Buffer) (int, string, error) {
	line, whole := b.ReadLine()
	if !whole {
		return 0, "", frame.ErrIncomplete
	}
	number, text, _ := strings.Cut(string(line), " ")
	id, err := strconv.Atoi(number)
	return id, text, err
}

var errBad = errors.New("bad answer")

// answers collects what requests end with, by name.
type answers struct {
	t  *testing.T
	mu sync.Mutex
	by map[string]string
}

func newAnswers(t *testing.T) *answers { return &answers{t: t, by: map[string]string{}} }

func (a *answers) to(name string) func(string, error) {
	return func(answer string, err error) {
		a.mu.Lock()
		defer a.mu.Unlock()
		assert.NotContains(a.t, a.by, name, "ended twice")
		if err != nil {
			answer = err.Error()
		}
		a.by[name] = answer
	}
}

func line(text string) []byte { return []byte(text + "\n") }

// A handler that aborts its connection asks again in the same call.
func TestARequestToAConnectionThatHasBegunToEndIsNotSent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var p *Pipeline[string]
		asked := make(chan error, 1)
		p = NewPipeline(func() Read[string] {
			return func(b *protocol.Buffer) (string, error) {
				b.Discard(b.Len())
				p.mu.Lock()
				socket := p.socket
				p.mu.Unlock()
				socket.Abort()
				asked <- p.Start(line("late"), 0, nil)
				return "", frame.ErrIncomplete
			}
		}, nil, Options{})
		server, _ := w.open(p.Handler(nil), listener.DialOptions{})
		_, err := io.WriteString(server, "anything")
		require.NoError(t, err)
		err = <-asked
		assert.ErrorIs(t, err, ErrNotConnected)
		assert.ErrorIs(t, err, protocol.ErrClosed)
		assert.Zero(t, p.Outstanding())
	})
}

func TestWithoutAReaderThereIsNoConnection(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for _, handler := range []tcpactor.Factory{
			NewPipeline[string](nil, nil, Options{}).Handler(nil), NewMux[int, string](nil, nil, Options{}).Handler(nil),
		} {
			_, err := w.dialer.Dial(t.Context(), "127.0.0.1:1", handler, listener.DialOptions{})
			assert.EqualError(t, err, "requests: no function that makes a function to read answers: it is nil")
		}
	})
}

func TestAnAnswerThatIsNotWantedIsTaken(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(linesOf, nil, Options{})
		server, _ := w.open(p.Handler(nil), listener.DialOptions{})
		a := newAnswers(t)
		require.NoError(t, p.Start(line("one"), 0, nil))
		require.NoError(t, p.Start(line("two"), 0, a.to("two")))
		server.says("first", "second")
		assert.Equal(t, map[string]string{"two": "second"}, a.by)
		assert.Zero(t, p.Outstanding())
	})
}

// The decoder of the connection before had looked at the first bytes of an answer.
func TestEachConnectionHasAReaderOfItsOwn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(func() Read[string] {
			lines := frame.Lines{}
			return func(b *protocol.Buffer) (string, error) {
				text, err := lines.Next(b)
				return string(text), err
			}
		}, nil, Options{})
		first, _ := w.open(p.Handler(nil), listener.DialOptions{})
		_, err := io.WriteString(first, "12345678")
		require.NoError(t, err)
		synctest.Wait()
		require.NoError(t, first.Close())
		synctest.Wait()

		second, _ := w.open(p.Handler(nil), listener.DialOptions{})
		a := newAnswers(t)
		for _, name := range []string{"a", "b"} {
			require.NoError(t, p.Start(line(name), 0, a.to(name)))
		}
		_, err = io.WriteString(second, "abc\nefghijk\n")
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, map[string]string{"a": "abc", "b": "efghijk"}, a.by)
	})
}

func TestAnswersInOrder(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(linesOf, nil, Options{})
		assert.ErrorIs(t, p.Start(line("early"), 0, nil), ErrNotConnected)
		server, _ := w.open(p.Handler(nil), listener.DialOptions{})
		a := newAnswers(t)
		for _, name := range []string{"a", "b", "c"} {
			require.NoError(t, p.Start(line(name), 0, a.to(name)))
		}
		server.gets("a", "b", "c")
		assert.Equal(t, 3, p.Outstanding())
		_, err := io.WriteString(server, "A\nB")
		require.NoError(t, err)
		synctest.Wait()
		assert.Equal(t, map[string]string{"a": "A"}, a.by)
		server.says("", "C")
		assert.Equal(t, map[string]string{"a": "A", "b": "B", "c": "C"}, a.by)
		assert.Zero(t, p.Outstanding())
	})
}

// Many goroutines ask at once: each gets its own answer.
func TestManyAskAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(linesOf, nil, Options{})
		server, _ := w.open(p.Handler(nil), listener.DialOptions{Connection: &connection.Options{WriteQueueSize: 1000}})
		go func() {
			for {
				request, err := server.lines.ReadString('\n')
				if err != nil {
					return
				}
				_, _ = io.WriteString(server, "re "+request)
			}
		}()
		var asking sync.WaitGroup
		for i := range 30 {
			asking.Go(func() {
				for j := range 20 {
					name := fmt.Sprintf("%d.%d", i, j)
					answer, err := p.Do(t.Context(), line(name))
					assert.NoError(t, err)
					assert.Equal(t, "re "+name, answer)
				}
			})
		}
		asking.Wait()
	})
}

func TestANegativeLimitOfRequestsIsNone(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		for most, refused := range map[int]bool{0: true, -1: false} {
			p := NewPipeline(linesOf, nil, Options{MaxOutstanding: most})
			server, _ := w.open(p.Handler(nil), listener.DialOptions{})
			for range defaultMaxOutstanding {
				require.NoError(t, p.Start(line("x"), time.Hour, nil))
				server.gets("x")
			}
			assert.Equal(t, refused, errors.Is(p.Start(line("x"), time.Hour, nil), ErrTooMany), "%d", most)
		}
	})
}

// The answer that comes too late is dropped, and the next one does not take its place.
func TestALateAnswerIsNotTheNextOnes(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(linesOf, nil, Options{MaxOutstanding: 3})
		server, _ := w.open(p.Handler(nil), listener.DialOptions{})
		a := newAnswers(t)
		began := time.Now()
		require.NoError(t, p.Start(line("slow"), 2*time.Second, func(answer string, err error) {
			assert.Equal(t, 2*time.Second, time.Since(began))
			assert.ErrorIs(t, err, ErrTimeout)
			assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
			a.to("slow")(answer, err)
		}))
		require.NoError(t, p.Start(line("quick"), time.Hour, a.to("quick")))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := p.Do(ctx, line("given up"))
		assert.ErrorIs(t, err, context.DeadlineExceeded)
		time.Sleep(3 * time.Second)
		synctest.Wait()
		assert.Equal(t, map[string]string{"slow": "requests: no answer in time"}, a.by)
		assert.Equal(t, 3, p.Outstanding(), "their places are kept")
		assert.ErrorIs(t, p.Start(line("more"), 0, nil), ErrTooMany)
		server.says("SLOW", "QUICK", "GIVEN UP")
		assert.Equal(t, "QUICK", a.by["quick"])
		assert.EqualValues(t, 2, p.Late())
		assert.Zero(t, p.Outstanding())
	})
}

func TestTheDefaultTimeout(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(linesOf, nil, Options{})
		w.open(p.Handler(nil), listener.DialOptions{})
		began := time.Now()
		_, err := p.Do(t.Context(), line("a"))
		assert.ErrorIs(t, err, ErrTimeout)
		assert.Equal(t, 30*time.Second, time.Since(began))
		a := newAnswers(t)
		require.NoError(t, p.Start(line("b"), 0, a.to("b")))
		require.NoError(t, p.Start(line("never"), -1, a.to("never")))
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		assert.Len(t, a.by, 1)
	})
}

// The end of the connection ends every request once, with its cause.
func TestTheEndFailsWhatIsOutstanding(t *testing.T) {
	for name, one := range map[string]struct {
		end  func(p *peer, s protocol.Socket)
		want protocol.Reason
	}{
		"close": {func(p *peer, _ protocol.Socket) { _ = p.Close() }, protocol.ReasonPeerClosed},
		"reset": {func(p *peer, _ protocol.Socket) { _ = p.Reset() }, protocol.ReasonPeerReset},
		"local": {func(_ *peer, s protocol.Socket) { _ = s.Close() }, protocol.ReasonLocalClosed},
		"abort": {func(_ *peer, s protocol.Socket) { s.Abort() }, protocol.ReasonLocalAborted},
		"bad":   {func(p *peer, _ protocol.Socket) { p.says("bad") }, protocol.ReasonHandlerError},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				p := NewPipeline(linesOf, nil, Options{})
				server, socket := w.open(p.Handler(nil), listener.DialOptions{})
				var ended []error
				for range 3 {
					require.NoError(t, p.Start(line("x"), 0, func(_ string, err error) { ended = append(ended, err) }))
				}
				server.gets("x", "x", "x")
				server.says("answer")
				require.Len(t, ended, 1)
				require.NoError(t, ended[0])
				one.end(server, socket)
				synctest.Wait()
				require.Len(t, ended, 3)
				for _, err := range ended[1:] {
					var closed *ClosedError
					require.ErrorAs(t, err, &closed)
					assert.Equal(t, one.want, closed.Reason)
					if closed.Err == nil {
						assert.ErrorIs(t, err, net.ErrClosed)
					}
				}
				assert.Zero(t, p.Outstanding())
				assert.ErrorIs(t, p.Start(line("late"), 0, nil), ErrNotConnected)

				server, _ = w.open(p.Handler(nil), listener.DialOptions{}) // the next connection
				a := newAnswers(t)
				require.NoError(t, p.Start(line("again"), 0, a.to("again")))
				server.gets("again")
				server.says("AGAIN")
				assert.Equal(t, "AGAIN", a.by["again"])
			})
		})
	}
}

// What the peer sent before its reset still answers.
func TestAnAnswerBeforeTheResetCounts(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(linesOf, nil, Options{})
		server, socket := w.open(p.Handler(nil), listener.DialOptions{})
		a := newAnswers(t)
		require.NoError(t, p.Start(line("a"), 0, a.to("a")))
		require.NoError(t, p.Start(line("b"), 0, a.to("b")))
		server.gets("a", "b")
		socket.Pause()
		synctest.Wait()
		_, err := io.WriteString(server, "A\n")
		require.NoError(t, err)
		_ = server.Reset()
		synctest.Wait()
		socket.Resume()
		time.Sleep(time.Minute)
		synctest.Wait()
		assert.Equal(t, "A", a.by["a"])
		assert.Contains(t, a.by["b"], "peer reset")
	})
}

func TestAnAnswerToNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(linesOf, nil, Options{})
		server, socket := w.open(p.Handler(nil), listener.DialOptions{})
		server.says("hello?")
		assert.ErrorIs(t, socket.Info().Err, ErrUnsolicited)

		var pushed []string
		p = NewPipeline(linesOf, func(s string) { pushed = append(pushed, s) }, Options{})
		server, _ = w.open(p.Handler(nil), listener.DialOptions{})
		server.says("hello!")
		assert.Equal(t, []string{"hello!"}, pushed)
	})
}

// A write that is refused leaves no place behind.
func TestARefusedRequestKeepsNoPlace(t *testing.T) {
	for _, slow := range []connection.SlowPolicy{connection.SlowRefuse, connection.SlowDropNewest} {
		inWorld(t, func(t *testing.T, w *world) {
			p := NewPipeline(linesOf, nil, Options{})
			server, _ := w.open(p.Handler(nil), listener.DialOptions{Connection: &connection.Options{WriteBufferSize: 600, SlowConsumer: slow}})
			a := newAnswers(t)
			refused := 0
			long := strings.Repeat("x", 499)
			for i := range 6 { // 1,000 bytes are under way, 600 wait
				name := strconv.Itoa(i)
				if err := p.Start(line(long), 0, a.to(name)); err != nil {
					assert.ErrorIs(t, err, protocol.ErrWriteBufferFull)
					refused++
				}
				synctest.Wait()
			}
			a.mu.Lock()
			dropped := len(a.by)
			a.mu.Unlock()
			taken := p.Outstanding()
			assert.Equal(t, 6, taken+refused+dropped)
			assert.Less(t, taken, 6)
			assert.Equal(t, slow == connection.SlowRefuse, dropped == 0)
			for i := range taken {
				server.gets(long)
				server.says(strconv.Itoa(i))
			}
			for i := range taken {
				assert.Equal(t, strconv.Itoa(i), a.by[strconv.Itoa(i)])
			}
		})
	}
}

func TestAnswersByIdentifier(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		var strays []string
		m := NewMux(numbered, func(id int, text string) { strays = append(strays, fmt.Sprint(id, text)) }, Options{MaxOutstanding: 2})
		server, _ := w.open(m.Handler(nil), listener.DialOptions{})
		a := newAnswers(t)
		require.NoError(t, m.Start(1, line("1 a"), 0, a.to("1")))
		require.NoError(t, m.Start(2, line("2 b"), time.Second, a.to("2")))
		assert.ErrorIs(t, m.Start(3, line("3 c"), 0, nil), ErrTooMany)
		server.says("2 B", "1 A", "7 X")
		assert.Equal(t, map[string]string{"1": "A", "2": "B"}, a.by)
		assert.Equal(t, []string{"7X"}, strays)

		require.NoError(t, m.Start(1, line("1 a"), 0, a.to("1 again")))
		assert.ErrorIs(t, m.Start(1, line("1 a"), 0, nil), ErrDuplicateID)
		require.NoError(t, m.Start(2, line("2 b"), time.Second, a.to("2 late")))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		assert.Equal(t, "requests: no answer in time", a.by["2 late"])
		assert.Equal(t, 1, m.Outstanding(), "its identifier is free")
		server.says("2 B", "1 A")
		assert.Equal(t, "A", a.by["1 again"])
		assert.EqualValues(t, 2, m.Late())

		done := make(chan string)
		go func() {
			answer, err := m.Do(t.Context(), 9, line("9 z"))
			assert.NoError(t, err)
			done <- answer
		}()
		synctest.Wait()
		server.says("9 Z")
		assert.Equal(t, "Z", <-done)
		server.says("no number")
		_, err := m.Do(t.Context(), 9, line("9 z"))
		assert.ErrorIs(t, err, ErrNotConnected)
	})
}

// A peer may choose an identifier that no map takes, where the type of identifiers is an interface.
func TestAnIdentifierThatCannotBeComparedIsAnError(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := NewMux(func() ReadID[any, string] {
			return func(b *protocol.Buffer) (any, string, error) {
				id, text, err := readNumbered(b)
				if id == 7 {
					return []any{id}, text, err
				}
				return id, text, err
			}
		}, nil, Options{})
		server, socket := w.open(m.Handler(nil), listener.DialOptions{})
		a := newAnswers(t)
		assert.EqualError(t, m.Start([]int{1}, line("1 a"), 0, nil), "requests: an identifier that cannot be compared: a []int")
		require.NoError(t, m.Start(1, line("1 a"), 0, a.to("1")))
		require.NoError(t, m.Start(2, line("2 b"), 0, a.to("2")))
		server.says("1 A", "7 X")
		synctest.Wait()
		assert.Equal(t, "A", a.by["1"])
		assert.Contains(t, a.by["2"], "connection", "it has ended")
		assert.Zero(t, m.Outstanding())
		assert.ErrorIs(t, socket.Info().Err, ErrBadID)
		assert.ErrorIs(t, m.Start(1, line("1 a"), 0, nil), ErrNotConnected)
	})
}

// An actor asks by message, and gets one Response; Proto.Actor's futures work with it.
func TestAnActorAsksByMessage(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		m := NewMux(numbered, nil, Options{})
		server, socket := w.open(m.Handler(nil), listener.DialOptions{})
		got := make(chan *Response, 10)
		pid := w.system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
			switch message := ctx.Message().(type) {
			case *Request:
				ctx.Request(socket.PID(), message)
			case *Response:
				got <- message
			}
		}))
		w.system.Root.Send(pid, &Request{ID: 1, Data: line("1 a"), Ack: "x"})
		server.gets("1 a")
		server.says("1 A")
		assert.Equal(t, &Response{Ack: "x", Value: "A"}, <-got)
		w.system.Root.Send(pid, &Request{ID: "1", Data: line("1 a"), Ack: "y"})
		assert.EqualError(t, (<-got).Err, "requests: the ID is a string and should be a int")
		w.system.Root.Send(pid, &Request{ID: 2, Data: line("2 b"), Timeout: time.Second})
		assert.ErrorIs(t, (<-got).Err, ErrTimeout)
		w.system.Root.Send(socket.PID(), (*Request)(nil))

		future := w.system.Root.RequestFuture(socket.PID(), &Request{ID: 3, Data: line("3 c")}, time.Minute)
		server.gets("2 b", "3 c")
		server.says("3 C")
		response, err := future.Result()
		require.NoError(t, err)
		assert.Equal(t, &Response{Value: "C"}, response)
		require.NoError(t, w.system.Root.StopFuture(pid).Wait())
	})
}

// The program's own handler gets all other events; a panic in a callback loses no other request.
func TestTheHandlerBehindAndItsPanics(t *testing.T) {
	for how, fail := range map[string]func(){"panic": func() { panic(errBad) }, "Goexit": runtime.Goexit} {
		t.Run(how, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				var reason protocol.Reason
				p := NewPipeline(linesOf, nil, Options{})
				server, _ := w.open(p.Handler(tcpactor.Functions[int]{
					Accept: func(protocol.Socket) (int, error) { return 0, nil },
					Read:   func(int, protocol.Socket, *protocol.Buffer) (int, error) { panic("no Data for it") },
					Close:  func(_ int, c *protocol.Closed) { reason = c.Reason },
				}), listener.DialOptions{})
				a := newAnswers(t)
				require.NoError(t, p.Start(line("a"), 0, func(string, error) { fail() }))
				require.NoError(t, p.Start(line("b"), 0, func(string, error) { fail() }))
				require.NoError(t, p.Start(line("c"), 0, a.to("c")))
				server.says("A")
				time.Sleep(time.Minute)
				synctest.Wait()
				assert.Equal(t, protocol.ReasonHandlerPanic, reason)
				assert.Contains(t, a.by["c"], "requests: connection ended: handler panic")
			})
		})
	}
}

func TestASecondConnectionIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(linesOf, nil, Options{})
		server, _ := w.open(p.Handler(nil), listener.DialOptions{})
		here, there := simnet.Pipe(simnet.Options{})
		defer there.Close()
		_, err := w.dialer.Adopt(t.Context(), here, p.Handler(nil), listener.DialOptions{})
		assert.ErrorIs(t, err, ErrInUse)
		a := newAnswers(t)
		require.NoError(t, p.Start(line("a"), 0, a.to("a")))
		server.gets("a")
		server.says("A")
		assert.Equal(t, "A", a.by["a"])
	})
}

// The handler that takes the connection over gets the answers from then on.
func TestABecomeEndsTheRequests(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(linesOf, nil, Options{})
		server, socket := w.open(p.Handler(nil), listener.DialOptions{})
		a := newAnswers(t)
		require.NoError(t, p.Start(line("a"), -1, a.to("a")))
		server.gets("a")
		shown := make(chan string, 1)
		require.NoError(t, socket.Become(tcpactor.HandlerFunc(func(_ protocol.Socket, b *protocol.Buffer) error {
			shown <- string(b.Next(b.Len()))
			return nil
		})))
		synctest.Wait()
		assert.Equal(t, ErrReplaced.Error(), a.by["a"])
		assert.ErrorIs(t, p.Start(line("b"), 0, a.to("b")), ErrNotConnected)
		server.says("A")
		assert.Equal(t, "A\n", <-shown)

		server, _ = w.open(p.Handler(nil), listener.DialOptions{}) // it is free for another connection
		require.NoError(t, p.Start(line("c"), 0, a.to("c")))
		server.gets("c")
		server.says("C")
		assert.Equal(t, "C", a.by["c"])
	})
}

// A handler that panicked is replaced by another one of the same Pipeline: its requests go on.
func TestARestartedHandlerGoesOnWithTheRequests(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		p := NewPipeline(linesOf, nil, Options{})
		own := connection.Options{RestartHandler: connection.RestartHandler{Max: 1}}
		server, _ := w.open(p.Handler(nil), listener.DialOptions{Connection: &own})
		a := newAnswers(t)
		require.NoError(t, p.Start(line("a"), 0, func(string, error) { panic(errBad) }))
		require.NoError(t, p.Start(line("b"), 0, a.to("b")))
		server.gets("a", "b")
		server.says("A", "B")
		assert.Equal(t, "B", a.by["b"])
	})
}

// A server that answers, and reads no more before its answers are read, is no deadlock: answers are
// read while requests are being written, with the default ReadGate, and within other handlers.
func TestAnswersAreReadWhileRequestsWait(t *testing.T) {
	around := map[string]func(tcpactor.Factory) tcpactor.Factory{
		"alone": func(f tcpactor.Factory) tcpactor.Factory { return f },
		"wrapped": func(f tcpactor.Factory) tcpactor.Factory {
			return tcpactor.Wrap(f, func(next tcpactor.Receiver) tcpactor.Receiver {
				return tcpactor.ReceiverFunc(next.Receive)
			})
		},
	}
	for _, gate := range []connection.Gate{connection.GateQuiet, connection.GateLowWater} {
		for name, wrap := range around {
			t.Run(fmt.Sprint(name, gate), func(t *testing.T) {
				inWorld(t, func(t *testing.T, w *world) {
					p := NewPipeline(linesOf, nil, Options{})
					own := connection.Options{ReadGate: gate, LowWater: 1}
					server, socket := w.open(wrap(p.Handler(nil)), listener.DialOptions{Connection: &own})
					a := newAnswers(t)
					require.NoError(t, p.Start(line("a"), 0, a.to("a")))
					server.gets("a")
					require.NoError(t, p.Start(line(strings.Repeat("b", 20_000)), 0, a.to("b"))) // more than the network takes
					synctest.Wait()
					require.Positive(t, socket.Info().QueuedBytes)
					server.says("A")
					assert.Equal(t, "A", a.by["a"])
				})
			})
		}
	}
}
