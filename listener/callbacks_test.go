package listener

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// waits are the ways in which a callback may wait for the end of the listener.
var waits = map[string]func(l *Listener) error{
	"Close":    (*Listener).Close,
	"Shutdown": func(l *Listener) error { return l.Shutdown(context.Background()) },
	"Done": func(l *Listener) error {
		go func() { _ = l.Close() }()
		<-l.Done()
		return nil
	},
	"another goroutine's": func(l *Listener) error {
		result := make(chan error, 1)
		go func() { result <- l.Close() }()
		return <-result
	},
}

// handle holds the listener for callbacks that may be called before Listen has returned.
type handle struct {
	ready chan struct{}
	l     *Listener
}

func (h *handle) set(l *Listener) { h.l = l; close(h.ready) }
func (h *handle) get() *Listener  { <-h.ready; return h.l }

// occasion is a callback, and what brings its call about.
type occasion struct {
	event   func(event any) bool // an event that a subscriber hears
	options func(o *Options, call func())
	handler func() *echo
	bring   func(t *testing.T, l *Listener)
	only    Transport // Auto: both
}

func is[T any](event any) bool { _, ok := event.(T); return ok }

var occasions = map[string]occasion{
	"Started": {event: is[*Started]},
	"Rejected": {
		event:   is[*Rejected],
		options: func(o *Options, _ func()) { o.MaxConnections, o.WhenFull = 1, Reject },
		bring:   func(t *testing.T, l *Listener) { echoes(t, dial(t, l)); dial(t, l) },
	},
	"AcceptorFailed": {
		event: is[*AcceptorFailed],
		bring: func(t *testing.T, l *Listener) { l.server.system.Root.Stop(newestAcceptor(t, l)) },
	},
	"DrainStarted": {event: is[*DrainStarted], bring: func(_ *testing.T, l *Listener) { go func() { _ = l.Close() }() }},
	"Stopped":      {event: is[*Stopped], bring: func(_ *testing.T, l *Listener) { go func() { _ = l.Close() }() }},
	"BudgetHigh": {
		event: is[*BudgetHigh],
		options: func(o *Options, _ func()) {
			o.MemoryBudget, o.MemoryHighWater = 10<<10, 8<<10
			o.Connection.HoldFullReadBuffer = true
		},
		handler: func() *echo { return nil },
		bring:   func(t *testing.T, l *Listener) { send(t, dial(t, l), strings.Repeat("x", 100_000)) },
	},
	"HandlerFailed": {
		event: is[*connection.HandlerFailed],
		bring: func(t *testing.T, l *Listener) { send(t, dial(t, l), "fail") },
	},
	"Closing": {event: is[*connection.Closing], bring: func(t *testing.T, l *Listener) {
		c := dial(t, l)
		echoes(t, c)
		_ = c.Close()
	}},
	"HandshakeFailed": {
		event:   is[*connection.HandshakeFailed],
		options: func(o *Options, _ func()) { *o = behindProxy(*o) },
		bring:   func(t *testing.T, l *Listener) { send(t, dial(t, l), "GET") },
	},
	"AlarmFailed": {
		event: is[*AlarmFailed],
		options: func(o *Options, _ func()) {
			o.Alarms = []Alarm{{Threshold: 1, Callback: func(Alarm, int) { panic("oh") }}}
		},
		bring: func(_ *testing.T, l *Listener) { knock(l) },
	},
	"an alarm": {
		options: func(o *Options, call func()) {
			o.Alarms = []Alarm{{Threshold: 1, Callback: func(Alarm, int) { call() }}}
		},
		bring: func(_ *testing.T, l *Listener) { knock(l) },
	},
	"Control": {
		options: func(o *Options, call func()) {
			first := true
			o.ListenConfig.Control = func(string, string, syscall.RawConn) error {
				if !first {
					call()
				}
				first = false
				return nil
			}
		},
		bring: func(t *testing.T, l *Listener) {
			assert.NoError(t, l.SuspendRefusing())
			go func() { _ = l.Resume() }()
		},
	},
}

// knock connects. That may fail where the listener ends at once.
func knock(l *Listener) net.Conn {
	c, err := net.Dial(l.Addr().Network(), l.Addr().String())
	if err == nil {
		go func() { _ = ends(c); _ = c.Close() }()
	}
	return c
}

func newestAcceptor(t *testing.T, l *Listener) *actor.PID {
	w := &world{ActorSystem: l.server.system}
	eventually(t, func() bool { return len(w.acceptors(l)) > 0 })
	return w.acceptors(l)[0]
}

// clumsy fails for the word, and echoes everything else.
type clumsy struct{ echo }

func (c *clumsy) Data(s protocol.Socket, b *protocol.Buffer) error {
	if string(b.Bytes()) == "fail" {
		return errBoom
	}
	return c.echo.Data(s, b)
}

func TestACallbackMayWaitForTheEndOfItsListener(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for says, one := range occasions {
			for way, wait := range waits {
				if one.only != Auto && one.only != o.Transport || way != "Close" && says != "Rejected" && says != "Stopped" {
					continue
				}
				t.Run(says+"/"+way, func(t *testing.T) {
					t.Parallel()
					one.test(t, o, wait)
				})
			}
		}
	})
}

func (one occasion) test(t *testing.T, o Options, wait func(l *Listener) error) {
	w := newWorld()
	h := &handle{ready: make(chan struct{})}
	returned := make(chan error, 1)
	var once sync.Once
	call := func() { once.Do(func() { returned <- wait(h.get()) }) }
	if one.event != nil {
		w.EventStream.Subscribe(func(event any) {
			if one.event(event) {
				call()
			}
		})
	}
	o.Connection = brisk
	if one.options != nil {
		one.options(&o, call)
	}
	factory := of(&clumsy{})
	if one.handler != nil {
		factory = of(&holder{})
	}
	l, err := Listen(w.Root, anyPort, factory, o)
	require.NoError(t, err)
	h.set(l)
	if one.bring != nil {
		one.bring(t, l)
	}
	require.NoError(t, receive(t, returned))
	receive(t, l.Done())
	eventually(t, func() bool { return len(w.actors()) == 0 })
}

// A subscriber that never returns holds nothing up once the end has been asked for, and is counted.
func TestAnEndDoesNotWaitForCallbacksThatNeverReturn(t *testing.T) {
	t.Parallel() // it mostly waits
	overEach(t, func(t *testing.T, o Options) {
		w, release := newWorld(), make(chan struct{})
		w.EventStream.Subscribe(func(event any) {
			if is[*Rejected](event) {
				<-release
			}
		})
		o.MaxConnections, o.WhenFull, o.Connection = 1, Reject, brisk
		l, err := Listen(w.Root, anyPort, of(newEcho()), o)
		require.NoError(t, err)
		first := dial(t, l)
		echoes(t, first)
		for range 20 {
			dial(t, l)
		}
		go func() { _ = ends(first); _ = first.Close() }()
		require.NoError(t, l.Shutdown(within(t, patience)))
		assert.Positive(t, published[*Stopped](w)[0].Absent)
		assert.Empty(t, w.actors())
		close(release)
		eventually(t, func() bool { return l.server.absent.Load() == 0 })
	})
}

// onNoTurn are the callbacks that run on no connection's turn. Each function returns once it has
// brought a call about.
var onNoTurn = map[string]func(t *testing.T, c net.Conn, socket protocol.Socket, call func()){
	"Left of a group": func(t *testing.T, _ net.Conn, socket protocol.Socket, call func()) {
		g := &connection.Group{Left: func(protocol.Socket, *protocol.Closing) { call() }}
		require.NoError(t, g.Add(socket))
		socket.Abort()
	},
	"a completion after the end": func(t *testing.T, c net.Conn, socket protocol.Socket, call func()) {
		socket.Abort()
		_, _ = io.Copy(io.Discard, c)
		eventually(t, func() bool { return socket.Info().State == protocol.StateClosed })
		socket.Do(&protocol.Pause{}, func(error) { call() })
	},
}

func TestACallbackOnNoTurnMayWaitForTheEndOfItsListener(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.Connection = brisk
		for what, bring := range onNoTurn {
			for way, wait := range waits {
				t.Run(what+"/"+way, func(t *testing.T) {
					t.Parallel()
					w := newWorld()
					l := w.listen(t, of(newEcho()), o)
					c := dial(t, l)
					echoes(t, c)
					began, returned := time.Now(), make(chan error, 1)
					bring(t, c, l.Connections()[0], func() { returned <- wait(l) })
					require.NoError(t, receive(t, returned))
					assert.Less(t, time.Since(began), joinGrace, "it is waited for as for any callback, not as for a goroutine")
					receive(t, l.Done())
					eventually(t, func() bool { return len(w.actors()) == 0 })
				})
			}
		}
	})
}

// insider calls the listener from everything that runs on a connection's turn.
type insider struct {
	h       *handle
	where   string
	wait    func(l *Listener) error
	answers chan error
}

func (i *insider) at(where string) {
	if where == i.where {
		began := time.Now()
		err := i.wait(i.h.get())
		if time.Since(began) > patience/2 {
			err = errors.Join(err, errors.New("and it took long"))
		}
		i.answers <- err
	}
}

func (i *insider) Accepted(protocol.Socket) error { i.at("Accepted"); return nil }

func (i *insider) Data(s protocol.Socket, b *protocol.Buffer) error {
	i.at("Data")
	b.Discard(b.Len())
	return s.WriteOwned([]byte("x"), func(error) { i.at("a completion") })
}

func (i *insider) Closed(protocol.Socket, *protocol.Closed)   { i.at("Closed") }
func (i *insider) Closing(protocol.Socket, *protocol.Closing) { i.at("Closing") }
func (i *insider) Message(actor.Context, protocol.Socket, any) error {
	i.at("Message")
	return nil
}

func TestAHandlerThatEndsItsListenerIsToldAtOnceThatItCannotWait(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for _, where := range []string{"Accepted", "Data", "a completion", "Message", "Closing", "Closed"} {
			for _, way := range []string{"Close", "Shutdown"} {
				t.Run(where+"/"+way, func(t *testing.T) {
					w := newWorld()
					i := &insider{h: &handle{ready: make(chan struct{})}, where: where, wait: waits[way], answers: make(chan error, 1)}
					o.Connection, o.ShutdownTimeout = brisk, -1
					l, err := Listen(w.Root, anyPort, of(i), o)
					require.NoError(t, err)
					i.h.set(l)
					c, err := net.Dial(l.Addr().Network(), l.Addr().String())
					if err != nil { // it has ended already
						require.Equal(t, ErrFromHandler, receive(t, i.answers))
						return
					}
					_, _ = io.WriteString(c, "hello")
					if where == "Message" || where == "Closing" || where == "Closed" {
						eventually(t, func() bool { return len(l.Connections()) == 1 && l.Info().Read > 0 })
						for _, s := range l.Connections() {
							w.Root.Send(s.PID(), "a message")
							if where != "Message" {
								_ = s.Close()
							}
						}
					}
					go func() { _ = ends(c); _ = c.Close() }()
					require.Equal(t, ErrFromHandler, receive(t, i.answers))
					receive(t, l.Done())
					assert.Empty(t, w.actors())
				})
			}
		}
	})
}

func TestACallbackOfTLSThatEndsItsListenerIsToldAtOnceThatItCannotWait(t *testing.T) {
	overEach(t, func(t *testing.T, each Options) {
		for way, proxied := range map[string]bool{"Close": false, "Shutdown": true} {
			h := &handle{ready: make(chan struct{})}
			answers := make(chan error, 1)
			o := Options{Transport: each.Transport, Connection: brisk}
			o.TLSConfig = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
				answers <- waits[way](h.get())
				return nil, errBoom
			}}
			if proxied {
				o = behindProxy(o)
			}
			w := newWorld()
			l, err := Listen(w.Root, anyPort, of(newEcho()), o)
			require.NoError(t, err)
			h.set(l)
			c := dial(t, l)
			if proxied {
				send(t, c, headerOf("192.0.2.1"))
			}
			go func() { _ = tls.Client(c, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
			require.Equal(t, ErrFromHandler, receive(t, answers))
			receive(t, l.Done())
			assert.Empty(t, w.actors())
		}
	})
}

// A handler may wait for the end of another listener, even if that listener has connections whose
// handlers run.
func TestAHandlerMayWaitForTheEndOfAnotherListener(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Connection = brisk
		other := w.listen(t, of(newEcho()), o)
		echoes(t, dial(t, other))
		i := &insider{h: &handle{ready: make(chan struct{})}, where: "Data", wait: waits["Close"], answers: make(chan error, 1)}
		i.h.set(other)
		l := w.listen(t, of(i), o)
		send(t, dial(t, l), "close the other")
		require.NoError(t, receive(t, i.answers))
		receive(t, other.Done())
	})
}

// A goroutine that a handler starts waits as any other caller.
func TestAGoroutineOfAHandlerWaitsForTheEnd(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.Connection = brisk
		result := make(chan error, 1)
		i := &insider{h: &handle{ready: make(chan struct{})}, where: "Data", answers: make(chan error, 1), wait: func(l *Listener) error {
			go func() { result <- l.Close() }()
			return nil
		}}
		l := w.listen(t, of(i), o)
		i.h.set(l)
		send(t, dial(t, l), "close")
		require.NoError(t, receive(t, i.answers))
		require.NoError(t, receive(t, result))
		receive(t, l.Done())
	})
}

func TestAControlThatSuspendsOrResumesItsListenerIsAnError(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		var l *Listener
		var answers []error
		o.ListenConfig.Control = func(string, string, syscall.RawConn) error {
			if l != nil {
				answers = append(answers, l.Resume(), l.SuspendRefusing())
			}
			return nil
		}
		l = newWorld().listen(t, of(newEcho()), o)
		require.NoError(t, l.SuspendRefusing())
		require.NoError(t, l.Resume())
		assert.Equal(t, []error{errChanges, errChanges}, answers)
		echoes(t, dial(t, l))
	})
}
