package berthtest_test

import (
	"crypto/tls"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/berthtest"
	"github.com/go-berth/berth/test/simnet"
)

func TestAnHourOfIdleTimeoutTakesMilliseconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var options berth.Options
		options.Connection.IdleTimeout = time.Hour
		server := berthtest.Serve(t, berth.HandlerFunc(echo), berthtest.With(options))
		client, began := server.Dial(), time.Now()
		client.Send("hello")
		client.Expect("hello")
		client.ExpectNothing(time.Hour)
		assert.Equal(t, berth.ReasonIdleTimeout, client.ExpectClosed())
		assert.InDelta(t, time.Hour, time.Since(began), float64(time.Hour/8))
	})
}

func TestEveryFormOfHandlerIsServed(t *testing.T) {
	for name, handler := range map[string]berth.Factory{
		"HandlerFunc": berth.HandlerFunc(echo),
		"Handlers":    berth.Handlers(func() berth.Handler { return berth.HandlerFunc(echo) }),
		"Functions": berth.Functions[int]{Read: func(n int, socket berth.Socket, data *berth.Buffer) (int, error) {
			return n + data.Len(), echo(socket, data)
		}},
		"Actors": berth.Actors(func() actor.Actor {
			return actor.ReceiveFunc(func(ctx actor.Context) {
				if m, ok := ctx.Message().(*berth.Data); ok {
					_ = echo(m.Socket, m.Buffer)
				}
			})
		}),
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, options ...berthtest.Option) {
				client := berthtest.Serve(t, handler, options...).Dial()
				client.Send("hello")
				client.Expect("hello")
			})
		})
	}
}

func TestTheServerCanBeStoppedByTheTest(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		server := berthtest.Serve(t, berth.HandlerFunc(echo), options...)
		client := server.Dial()
		client.Send("hello")
		client.Expect("hello")
		require.NoError(t, server.Close())
		assert.Equal(t, berth.ReasonShutdown, client.ExpectClosed())
	})
}

// In a bubble an expectation outlasts the timeouts, and costs nothing where it fails.
func TestPatienceOutlastsTheTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		says := fails(t, func(t testing.TB) { berthtest.Serve(t, obeys).Dial().Expect("hello") })
		assert.Contains(t, says, "the connection stayed open")
		assert.GreaterOrEqual(t, time.Since(began), time.Hour)

		var options berth.Options
		options.Connection.IdleTimeout = 3 * time.Hour
		client := berthtest.Serve(t, obeys, berthtest.With(options)).Dial()
		assert.Equal(t, berth.ReasonIdleTimeout, client.ExpectClosed())
	})
}

func TestAnActorSystemOfTheTest(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		system := berth.NewSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond))
		server := berthtest.Serve(t, berth.HandlerFunc(echo), append(options, berthtest.InSystem(system))...)
		assert.Same(t, system, server.System)
		pid := system.Root.Spawn(actor.PropsFromFunc(func(actor.Context) {})) // is the test's business
		client := server.Dial()
		client.Send("hello")
		client.Expect("hello")
		t.Cleanup(func() { _ = system.Root.StopFuture(pid).Wait() })
	})
}

func TestTheNetworkIsTheTests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := berthtest.Serve(t, berth.HandlerFunc(echo), berthtest.Network(simnet.Options{Latency: time.Second}))
		client, began := server.Dial(), time.Now()
		server.Network.Partition()
		client.Send("hello")
		client.ExpectNothing(time.Minute)
		server.Network.Heal()
		client.Expect("hello")
		assert.Equal(t, time.Minute+2*time.Second, time.Since(began))
	})
}

func TestTLS(t *testing.T) {
	secret, trusting := setup.TLS()
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		var secured berth.Options
		secured.TLSConfig = secret
		server := berthtest.Serve(t, obeys, append(options, berthtest.With(secured))...)
		config := trusting
		client := server.Dial()
		client.TLS(config)
		client.Send("say hello\n")
		client.Expect("hello")
		client.CloseWrite()
		client.ExpectEOF()
		assert.Equal(t, berth.ReasonPeerClosed, client.ExpectClosed())
		gone := server.Dial()
		gone.TLS(config)
		gone.Reset()

		assert.Regexp(t, `^the TLS handshake of .* failed: .*`, fails(t, func(t testing.TB) {
			client := berthtest.Serve(t, obeys, append(options, berthtest.With(secured))...).Dial()
			client.TLS(&tls.Config{RootCAs: trusting.RootCAs, ServerName: "elsewhere.test"})
		}))
	})
}

func TestServeSaysWhatCannotBe(t *testing.T) {
	assert.Equal(t, "the server does not start: berth: no handler: give one of HandlerFunc, Handlers, Functions, Actors",
		fails(t, func(t testing.TB) { berthtest.Serve(t, nil) }))
	assert.Equal(t, "the server does not start: berth: no HandlerFunc: it is nil",
		fails(t, func(t testing.TB) { berthtest.Serve(t, berth.HandlerFunc(nil)) }))
	assert.Equal(t, `Loopback serves TCP: Options.Network cannot be "unix"`, fails(t, func(t testing.TB) {
		berthtest.Serve(t, obeys, berthtest.Loopback(), berthtest.With(berth.Options{Network: "unix"}))
	}))
	synctest.Test(t, func(t *testing.T) {
		assert.Equal(t, "Loopback cannot be used in a bubble of synctest: leave it out, or test outside",
			fails(t, func(t testing.TB) { berthtest.Serve(t, obeys, berthtest.Loopback()) }))
		assert.Equal(t, "the server is in a bubble of synctest, but t is not: "+
			"give Serve the t of the function that synctest.Test calls",
			fails(t, func(t testing.TB) { berthtest.Serve(outside{t}, obeys) }))
	})
}

// outside is a test that is not in a bubble: it may have a deadline.
type outside struct{ testing.TB }

func (outside) Deadline() (time.Time, bool) { return time.Time{}, false }

func TestAHandlerThatFailsFailsTheTest(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		assert.Equal(t, "a handler failed: handler error: no such user", fails(t, func(t testing.TB) {
			client := berthtest.Serve(t, obeys, options...).Dial()
			client.Send("fail no such user\n")
			assert.Equal(t, berth.ReasonHandlerError, client.ExpectClosed())
		}))
		says := fails(t, func(t testing.TB) {
			client := berthtest.Serve(t, obeys, options...).Dial()
			client.Send("panic attack\n")
			assert.Equal(t, berth.ReasonHandlerPanic, client.ExpectClosed())
		})
		assert.Regexp(t, `(?s)^a handler failed: berth: handler panicked: attack\ngoroutine .*client_test.go`, says)
	})
}

func TestAFailureThatIsExpected(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		server := berthtest.Serve(t, obeys, options...)
		server.Dial().Send("fail one\n")
		require.EqualError(t, server.ExpectFailure(), "one")
		server.Dial().Send("panic two\n")
		var panicked *protocol.PanicError
		require.ErrorAs(t, server.ExpectFailure(), &panicked)
		assert.Equal(t, "two", panicked.Value)

		lenient := berthtest.Serve(t, obeys, append(options, berthtest.AllowFailures())...)
		client := lenient.Dial()
		client.Send("fail three\n")
		client.ExpectClosed()
	})
	synctest.Test(t, func(t *testing.T) {
		assert.Equal(t, "expected that a handler fails, but none did within 1m0s", fails(t, func(t testing.TB) {
			_ = berthtest.Serve(t, obeys, berthtest.Patience(time.Minute)).ExpectFailure()
		}))
	})
}

// A handler that is replaced has failed nevertheless.
func TestARestartedHandlerHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var options berth.Options
		options.Connection.RestartHandler = berth.RestartHandler{Max: 1}
		server := berthtest.Serve(t, obeys, berthtest.With(options))
		client := server.Dial()
		client.Send("panic once\n")
		require.ErrorContains(t, server.ExpectFailure(), "once")
		client.Send("say still here\n")
		client.Expect("still here")
	})
}

// leave starts a goroutine that waits for the end of the channel.
func leave(release <-chan struct{}) {
	go func() { <-release }()
}

func TestAGoroutineThatIsLeftFailsTheTest(t *testing.T) {
	berthtest.SettleFor(t, 200*time.Millisecond)
	onTwoClocks(t, func(t *testing.T, options ...berthtest.Option) {
		release := make(chan struct{})
		defer close(release)
		leaks := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
			leave(release)
			return echo(socket, data)
		})
		talk := func(t testing.TB, options ...berthtest.Option) {
			client := berthtest.Serve(t, leaks, options...).Dial()
			client.Send("hello")
			client.Expect("hello")
		}
		says := fails(t, func(t testing.TB) { talk(t, options...) })
		assert.Regexp(t, `(?s)^goroutines are left that the server or a handler has started: 1\n`+
			`\tgithub.com/go-berth/berth/test/berthtest_test.leave.func1\n\t\t.*server_test.go:\d+\n$`, says)
		passes(t, func(t testing.TB) { talk(t, append(options, berthtest.AllowLeaks())...) })
		passes(t, func(t testing.TB) {
			talk(t, append(options, berthtest.AllowGoroutine("github.com/go-berth/berth/test/berthtest_test.leave.func1"))...)
		})
	})
}

// Goroutines that other tests leave, or have not finished yet, are not the server's.
func TestOtherGoroutinesAreNotTheServers(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		release := make(chan struct{})
		var wait sync.WaitGroup
		wait.Go(func() { <-release })
		passes(t, func(t testing.TB) {
			server := berthtest.Serve(t, berth.HandlerFunc(echo), options...)
			wait.Go(func() { <-release })
			client := server.Dial()
			client.Send("hello")
			client.Expect("hello")
		})
		close(release)
		wait.Wait()
	})
}

func TestAnActorThatIsLeftFailsTheTest(t *testing.T) {
	berthtest.SettleFor(t, 200*time.Millisecond)
	onTwoClocks(t, func(t *testing.T, options ...berthtest.Option) {
		var server *berthtest.Server
		spawns := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
			_, err := server.System.Root.SpawnNamed(actor.PropsFromFunc(func(actor.Context) {}), "forgotten")
			return errors.Join(err, echo(socket, data))
		})
		says := fails(t, func(t testing.TB) {
			server = berthtest.Serve(t, spawns, options...)
			client := server.Dial()
			client.Send("hello")
			client.Expect("hello")
		})
		assert.Equal(t, "an actor is left in the server's system: forgotten", says)
		_ = server.System.Root.StopFuture(actor.NewPID("nonhost", "forgotten")).Wait()
		if strings.HasSuffix(t.Name(), "bubble") {
			time.Sleep(time.Second)
		}
	})
}

func TestAHandlerThatDoesNotReturnFailsTheTest(t *testing.T) {
	berthtest.SettleFor(t, 200*time.Millisecond)
	onTwoClocks(t, func(t *testing.T, options ...berthtest.Option) {
		release, blocked := make(chan struct{}), make(chan struct{})
		blocks := berth.HandlerFunc(func(berth.Socket, *berth.Buffer) error {
			close(blocked)
			<-release
			return errors.New("too late")
		})
		failures := run(func(t testing.TB) {
			berthtest.Serve(t, blocks, options...).Dial().Send("hello")
			<-blocked
		})
		close(release)
		require.NotEmpty(t, failures)
		assert.Equal(t, "berthtest: handlers have not returned: 1", failures[0])
		if strings.HasSuffix(t.Name(), "bubble") {
			time.Sleep(time.Second)
		}
	})
}
