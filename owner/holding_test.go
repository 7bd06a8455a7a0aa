package owner_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/owner"
	"github.com/go-berth/berth/protocol/wire"
)

// bothWays runs a test that loses the first owner behind an event, and one that loses it before.
// Another owner is told of the event either way.
func bothWays(t *testing.T, test func(t *testing.T, lost bool)) {
	t.Run("told to the first owner", func(t *testing.T) { test(t, false) })
	t.Run("without an owner", func(t *testing.T) { test(t, true) })
}

func lose(first *desk) {
	first.stop()
	synctest.Wait()
}

// fill writes more than the connection takes while its peer does not read.
func fill(system *actor.ActorSystem, connection *actor.PID) {
	for range 5 {
		system.Root.Send(connection, &wire.Write{Data: make([]byte, 32<<10)})
	}
	time.Sleep(10 * time.Second) // a write without room waits a second for the writer
	synctest.Wait()
}

// The server shuts down: an owner that takes over knows it, and can end its connection in time.
func TestAnotherOwnerIsToldThatTheServerShutsDown(t *testing.T) {
	bothWays(t, func(t *testing.T, lost bool) {
		options := berth.Options{ShutdownTimeout: time.Hour}
		options.Connection.DrainQuiet = -1 // off
		withinServer(t, owner.Options{Grace: time.Minute}, options, func(*desk) {},
			func(t *testing.T, server *berth.Server, first, second *desk, client net.Conn) {
				connection := next[*wire.Owned](t, first).Connection.Native()
				typed(t, client, "a")
				next[*wire.Data](t, first)
				if lost {
					lose(first)
				}
				began, ended := time.Now(), make(chan error, 1)
				go func() { ended <- server.Shutdown(context.Background()) }()
				time.Sleep(time.Second) // the acceptor looks up
				var told *wire.Draining
				if !lost {
					told = next[*wire.Draining](t, first)
					typed(t, client, "b")
					next[*wire.Data](t, first)
					lose(first)
				}
				second.send(connection, &wire.TakeOver{})
				next[*wire.Owned](t, second)
				assert.Equal(t, "a", string(next[*wire.Data](t, second).Bytes))
				again := next[*wire.Draining](t, second)
				if !lost {
					assert.True(t, proto.Equal(told, again), "with the same deadline: %v", again)
					assert.Equal(t, "b", string(next[*wire.Data](t, second).Bytes), "in its place among the Data")
				}
				second.send(connection, &wire.Close{})
				next[*wire.Closing](t, second)
				require.NoError(t, client.Close())
				require.NoError(t, <-ended)
				assert.Less(t, time.Since(began), time.Minute)
			})
	})
}

func TestAnotherOwnerIsToldThatThePeerHasClosed(t *testing.T) {
	bothWays(t, func(t *testing.T, lost bool) {
		var options berth.Options
		options.Connection.KeepOpenOnPeerClosed = true
		options.Connection.HalfCloseTimeout = -1 // off
		withinServer(t, owner.Options{Grace: time.Minute}, options, func(*desk) {},
			func(t *testing.T, _ *berth.Server, first, second *desk, client net.Conn) {
				connection := next[*wire.Owned](t, first).Connection.Native()
				typed(t, client, "question")
				next[*wire.Data](t, first)
				if lost {
					lose(first)
				}
				require.NoError(t, client.(interface{ CloseWrite() error }).CloseWrite())
				synctest.Wait()
				if !lost {
					next[*wire.PeerClosed](t, first)
					first.send(connection, &wire.Handled{Number: 1})
					synctest.Wait()
					lose(first)
				}
				second.send(connection, &wire.TakeOver{})
				next[*wire.Owned](t, second)
				if lost {
					assert.Equal(t, "question", string(next[*wire.Data](t, second).Bytes))
				}
				next[*wire.PeerClosed](t, second)
				quiet(t, second)
				second.send(connection, &wire.TakeOver{}) // begins anew
				next[*wire.Owned](t, second)
				if lost {
					next[*wire.Data](t, second)
				}
				next[*wire.PeerClosed](t, second)
				second.send(connection, &wire.Write{Data: []byte("answer")})
				second.send(connection, &wire.Close{})
				text, err := io.ReadAll(client)
				require.NoError(t, err)
				assert.Equal(t, "answer", string(text))
			})
	})
}

// Not writable is told again while it holds, and no longer.
func TestAnotherOwnerIsToldThatThereIsNoRoom(t *testing.T) {
	bothWays(t, func(t *testing.T, lost bool) {
		var options berth.Options
		options.Connection.HighWater, options.Connection.LowWater = 10, 5
		withinServer(t, owner.Options{Grace: time.Minute}, options, func(*desk) {},
			func(t *testing.T, _ *berth.Server, first, second *desk, client net.Conn) {
				connection := next[*wire.Owned](t, first).Connection.Native()
				if lost {
					lose(first)
				}
				fill(first.system, connection)
				if !lost {
					assert.False(t, next[*wire.Writable](t, first).Ready)
					lose(first)
				}
				second.send(connection, &wire.TakeOver{})
				next[*wire.Owned](t, second)
				assert.False(t, next[*wire.Writable](t, second).Ready)
				quiet(t, second)
				read := make(chan struct{})
				go func() { _, _ = io.Copy(io.Discard, client); close(read) }()
				time.Sleep(time.Second) // simnet's pace
				assert.True(t, next[*wire.Writable](t, second).Ready)
				second.send(connection, &wire.TakeOver{})
				next[*wire.Owned](t, second)
				quiet(t, second)
				second.send(connection, &wire.Close{})
				<-read
			})
	})
}

// What came before the handshake was plain text. An owner that takes over knows which Data did.
func TestAnotherOwnerIsToldWhereTLSBegan(t *testing.T) {
	bothWays(t, func(t *testing.T, lost bool) {
		certificate, trusting := setup.TLS()
		var theOwner *actor.PID
		var socket berth.Socket
		options := owner.Options{Grace: time.Minute, Owner: func(s berth.Socket) *actor.PID { socket = s; return theOwner }}
		withinDesks(t, options, func(first *desk) { theOwner = first.pid }, func(t *testing.T, first, second *desk, plain net.Conn) {
			connection := next[*wire.Owned](t, first).Connection.Native()
			typed(t, plain, "plain")
			next[*wire.Data](t, first)
			require.NoError(t, socket.StartTLS(certificate))
			synctest.Wait()
			if lost {
				lose(first)
			}
			client := tls.Client(plain, trusting)
			require.NoError(t, client.HandshakeContext(t.Context()))
			if !lost {
				next[*wire.TLSStarted](t, first)
			}
			typed(t, client, "a secret")
			if !lost {
				next[*wire.Data](t, first)
				lose(first)
			}
			second.send(connection, &wire.TakeOver{})
			next[*wire.Owned](t, second)
			assert.Equal(t, "plain", string(next[*wire.Data](t, second).Bytes))
			next[*wire.TLSStarted](t, second)
			assert.Equal(t, "a secret", string(next[*wire.Data](t, second).Bytes))
			second.send(connection, &wire.Handled{Number: 2})
			second.send(connection, &wire.TakeOver{})
			next[*wire.Owned](t, second)
			next[*wire.TLSStarted](t, second)
			quiet(t, second)
		})
	})
}

// A connection ends, and its last writes are still on their way: an owner that takes over then gets
// the Data, and knows that it can write nothing more.
func TestAnotherOwnerIsToldThatTheConnectionEnds(t *testing.T) {
	bothWays(t, func(t *testing.T, lost bool) {
		within(t, owner.Options{Grace: time.Minute}, func(t *testing.T, first, second *desk, client net.Conn) {
			connection := next[*wire.Owned](t, first).Connection.Native()
			typed(t, client, "a")
			next[*wire.Data](t, first)
			if lost {
				lose(first)
			}
			fill(first.system, connection)
			first.system.Root.Send(connection, &wire.Close{})
			synctest.Wait()
			if !lost {
				assert.False(t, next[*wire.Writable](t, first).Ready)
				assert.Equal(t, wire.Reason_REASON_LOCAL_CLOSED, next[*wire.Closing](t, first).Reason)
				lose(first)
			}
			second.send(connection, &wire.TakeOver{})
			next[*wire.Owned](t, second)
			assert.Equal(t, "a", string(next[*wire.Data](t, second).Bytes))
			assert.False(t, next[*wire.Writable](t, second).Ready)
			assert.Equal(t, wire.Reason_REASON_LOCAL_CLOSED, next[*wire.Closing](t, second).Reason)
			quiet(t, second)
			_, err := io.Copy(io.Discard, client)
			require.NoError(t, err)
			require.NoError(t, client.Close())
			next[*wire.Closed](t, second)
		})
	})
}

// The path of a unix socket, and the name of an actor, may be any bytes.
func TestAnOwnerOnAnotherNodeCanBeToldOfBytesThatAreNoUTF8(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems may refuse such a path")
	}
	system := berth.NewSystem(setup.Silent()...)
	mail := make(chan proto.Message, 100)
	receive := func(ctx actor.Context) {
		if m, is := ctx.Message().(proto.Message); is {
			mail <- m
		}
	}
	first, err := system.Root.SpawnNamed(actor.PropsFromFunc(receive), "first\xff")
	require.NoError(t, err)
	second := system.Root.Spawn(actor.PropsFromFunc(receive))
	connections, err := owner.New(owner.Options{Grace: time.Minute, Owner: func(berth.Socket) *actor.PID { return first }})
	require.NoError(t, err)
	path := t.TempDir() + "/a\xff.sock"
	listener, err := net.Listen("unix", path)
	require.NoError(t, err)
	server, err := berth.ServeIn(system.Root, listener, berth.Actors(connections), berth.Options{})
	require.NoError(t, err)
	client, err := net.Dial("unix", path)
	require.NoError(t, err)
	owned := func() *wire.Owned {
		m := <-mail
		bytes, err := proto.Marshal(m)
		require.NoError(t, err)
		require.NoError(t, proto.Unmarshal(bytes, m))
		return m.(*wire.Owned)
	}
	one := owned()
	assert.Contains(t, one.LocalAddr, "a\ufffd.sock")
	require.NoError(t, system.Root.StopFuture(first).Wait())
	system.Root.RequestWithCustomSender(one.Connection.Native(), &wire.TakeOver{}, second)
	for m := range mail {
		if _, still := m.(*wire.Refused); still { // the connection has not heard of the end yet
			system.Root.RequestWithCustomSender(one.Connection.Native(), &wire.TakeOver{}, second)
			continue
		}
		mail <- m
		break
	}
	assert.Equal(t, "first\ufffd", owned().Before.Id)
	require.NoError(t, client.Close())
	require.NoError(t, server.Close())
	require.NoError(t, system.Root.StopFuture(second).Wait())
}
