package owner_test

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/owner"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/protocol/wire"
	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is an owner that shows its mail to the test.
type desk struct {
	system *actor.ActorSystem
	pid    *actor.PID
	mail   chan any
}

func newDesk(system *actor.ActorSystem) *desk {
	d := &desk{system: system, mail: make(chan any, 1000)}
	d.pid = system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) {
		switch m := ctx.Message().(type) {
		case *actor.Started, *actor.Stopping, *actor.Stopped:
		default:
			d.mail <- m
		}
	}))
	return d
}

func (d *desk) stop() { d.system.Root.Stop(d.pid) }

func (d *desk) send(connection *actor.PID, message any) {
	d.system.Root.RequestWithCustomSender(connection, message, d.pid)
}

// next returns the desk's next message, which is of type T.
func next[T any](t *testing.T, d *desk) T {
	t.Helper()
	synctest.Wait()
	select {
	case m := <-d.mail:
		require.IsType(t, *new(T), m)
		return m.(T)
	default:
		require.FailNow(t, "no message came")
		panic("unreachable")
	}
}

func quiet(t *testing.T, d *desk) {
	t.Helper()
	synctest.Wait()
	require.Empty(t, d.mail)
}

// within runs a test with a server whose connections belong to first, and one client.
func within(t *testing.T, options owner.Options, test func(t *testing.T, first, second *desk, client net.Conn)) {
	t.Helper()
	withinDesks(t, options, func(*desk) {}, test)
}

// withinDesks is within, with a call before the server starts.
func withinDesks(t *testing.T, options owner.Options, before func(first *desk), test func(t *testing.T, first, second *desk, client net.Conn)) {
	t.Helper()
	withinServer(t, options, berth.Options{}, before, func(t *testing.T, _ *berth.Server, first, second *desk, client net.Conn) {
		t.Helper()
		test(t, first, second, client)
	})
}

// withinServer is withinDesks, with options of the server, which the test gets too.
func withinServer(
	t *testing.T, options owner.Options, serverOptions berth.Options, before func(first *desk),
	test func(t *testing.T, server *berth.Server, first, second *desk, client net.Conn),
) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		system := berth.NewSystem(setup.Silent()...)
		first, second := newDesk(system), newDesk(system)
		if options.Owner == nil {
			options.Owner = func(berth.Socket) *actor.PID { return first.pid }
		}
		before(first)
		connections, err := owner.New(options)
		require.NoError(t, err)
		network := simnet.Listen(simnet.Options{})
		server, err := berth.ServeIn(system.Root, network, berth.Actors(connections), serverOptions)
		require.NoError(t, err)
		client, err := network.Dial(context.Background())
		require.NoError(t, err)
		test(t, server, first, second, client)
		_ = client.Close() // the test may have closed it
		require.NoError(t, server.Close())
		first.stop()
		second.stop()
		time.Sleep(2 * time.Second) // a logged dead letter has a goroutine for a moment
		synctest.Wait()
	})
}

func typed(t *testing.T, client net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(client, text)
	require.NoError(t, err)
	synctest.Wait()
}

func TestAnOwnerGetsAtMostItsCredit(t *testing.T) {
	within(t, owner.Options{Credit: 2}, func(t *testing.T, first, _ *desk, client net.Conn) {
		owned := next[*wire.Owned](t, first)
		assert.EqualValues(t, 2, owned.Credit)
		assert.Nil(t, owned.Before)
		connection := owned.Connection.Native()
		for i, text := range []string{"a", "b", "c", "d", "e"} {
			typed(t, client, text)
			if i < 2 {
				data := next[*wire.Data](t, first)
				assert.Equal(t, text, string(data.Bytes))
				assert.EqualValues(t, i+1, data.Number)
				assert.EqualValues(t, i, data.Offset)
				assert.False(t, data.Again)
			} else {
				quiet(t, first)
			}
		}
		first.send(connection, &wire.GetInfo{})
		assert.True(t, next[*wire.Info](t, first).Paused)
		first.send(connection, &wire.Handled{Number: 1})
		assert.Equal(t, "cde", string(next[*wire.Data](t, first).Bytes), "what came meanwhile is one Data")
		typed(t, client, "f")
		quiet(t, first)
		first.send(connection, &wire.Handled{Number: 3}) // 2 and 3
		assert.Equal(t, "f", string(next[*wire.Data](t, first).Bytes))
		first.send(connection, &wire.Handled{Number: 2}) // late
		first.send(connection, &wire.Handled{Number: 0})
		quiet(t, first)
	})
}

func TestAForgedAcknowledgementIsRefusedAndChangesNothing(t *testing.T) {
	within(t, owner.Options{Credit: 1}, func(t *testing.T, first, second *desk, client net.Conn) {
		connection := next[*wire.Owned](t, first).Connection.Native()
		typed(t, client, "a")
		next[*wire.Data](t, first)
		typed(t, client, "b")
		second.send(connection, &wire.Handled{Number: 1})
		assert.EqualError(t, next[*wire.Refused](t, second).Error.Native(), owner.ErrNotOwner.Error())
		first.send(connection, &wire.Handled{Number: 2})
		assert.EqualError(t, next[*wire.Refused](t, first).Error.Native(), owner.ErrFuture.Error())
		first.send(connection, &wire.Handled{Number: 1<<64 - 1})
		next[*wire.Refused](t, first)
		second.send(connection, &wire.TakeOver{})
		assert.EqualError(t, next[*wire.Refused](t, second).Error.Native(), owner.ErrOwned.Error())
		first.system.Root.Send(connection, &wire.Handled{Number: 1}) // no sender
		first.system.Root.Send(connection, &wire.TakeOver{})
		quiet(t, first)
		first.send(connection, &wire.Handled{Number: 1})
		assert.Equal(t, "b", string(next[*wire.Data](t, first).Bytes))
	})
}

func TestWithoutItsOwnerAConnectionIsClosedInOrder(t *testing.T) {
	within(t, owner.Options{}, func(t *testing.T, first, _ *desk, client net.Conn) {
		connection := next[*wire.Owned](t, first).Connection.Native()
		first.send(connection, &wire.Write{Data: []byte("bye")})
		synctest.Wait()
		first.stop()
		text, err := io.ReadAll(client)
		require.NoError(t, err)
		assert.Equal(t, "bye", string(text))
	})
}

// The second owner gets what the first had not acknowledged, once more, and what came meanwhile.
func TestAnotherOwnerTakesOverAndMissesNothing(t *testing.T) {
	within(t, owner.Options{Credit: 3, Grace: time.Minute}, func(t *testing.T, first, second *desk, client net.Conn) {
		connection := next[*wire.Owned](t, first).Connection.Native()
		for _, text := range []string{"a", "b", "c"} {
			typed(t, client, text)
			next[*wire.Data](t, first)
		}
		first.send(connection, &wire.Handled{Number: 1})
		synctest.Wait()
		first.stop()
		synctest.Wait()
		typed(t, client, "d") // not read: there is no owner
		time.Sleep(time.Minute - 1)
		second.send(connection, &wire.TakeOver{})
		owned := next[*wire.Owned](t, second)
		assert.EqualValues(t, 1, owned.Handled)
		assert.Equal(t, first.pid.Id, owned.Before.Id)
		for i, text := range []string{"b", "c", "d"} {
			data := next[*wire.Data](t, second)
			assert.Equal(t, text, string(data.Bytes))
			assert.EqualValues(t, i+2, data.Number)
			assert.Equal(t, i < 2, data.Again)
		}
		time.Sleep(time.Hour) // the grace is over and no matter
		first.send(connection, &wire.Handled{Number: 4})
		second.send(connection, &wire.TakeOver{}) // once more: it begins anew
		assert.EqualValues(t, 1, next[*wire.Owned](t, second).Handled)
		for range 3 {
			assert.True(t, next[*wire.Data](t, second).Again)
		}
	})
}

func TestAfterTheGraceTheConnectionIsClosed(t *testing.T) {
	none := func(berth.Socket) *actor.PID { return nil }
	within(t, owner.Options{Grace: time.Minute, Owner: none}, func(t *testing.T, _, _ *desk, client net.Conn) {
		began := time.Now()
		_, err := client.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

// An owner that is lost, followed by another that is lost: the grace begins anew.
func TestEachLossHasItsOwnGrace(t *testing.T) {
	var connection *actor.PID
	options := owner.Options{Grace: time.Minute, Owner: func(s berth.Socket) *actor.PID { connection = s.PID(); return nil }}
	within(t, options, func(t *testing.T, _, second *desk, client net.Conn) {
		time.Sleep(time.Minute - time.Second)
		synctest.Wait() // what the connection's turn has written is to be read here
		second.send(connection, &wire.TakeOver{})
		next[*wire.Owned](t, second)
		second.stop()
		began := time.Now()
		_, err := client.Read(make([]byte, 1))
		assert.ErrorIs(t, err, io.EOF)
		assert.Equal(t, time.Minute, time.Since(began))
	})
}

func TestTheEndIsToldToTheOwner(t *testing.T) {
	within(t, owner.Options{}, func(t *testing.T, first, _ *desk, client net.Conn) {
		next[*wire.Owned](t, first)
		typed(t, client, "x")
		next[*wire.Data](t, first)
		require.NoError(t, client.Close())
		closing := next[*wire.Closing](t, first)
		assert.Equal(t, wire.Reason_REASON_PEER_CLOSED, closing.Reason)
		assert.EqualValues(t, 1, next[*wire.Closed](t, first).Stats.Read)
	})
}

func TestWritesKnowWhatHasNoAnswer(t *testing.T) {
	writes := owner.NewWrites(3)
	var sent []*wire.Write
	for _, text := range []string{"a", "b", "c"} {
		command, err := writes.Write([]byte(text))
		require.NoError(t, err)
		sent = append(sent, command)
	}
	_, err := writes.Write(nil)
	require.ErrorIs(t, err, owner.ErrTooManyWrites)

	one, ours, err := writes.Answer(&wire.Written{Ack: sent[1].Ack})
	require.NoError(t, err)
	assert.True(t, ours)
	assert.Equal(t, owner.Unanswered{Number: sent[1].Ack.GetUint64(), Data: []byte("b")}, one)
	one, ours, err = writes.Answer(&wire.WriteFailed{Ack: sent[0].Ack, Error: wire.NewError(protocol.ErrAborted)})
	assert.ErrorIs(t, err, protocol.ErrAborted)
	assert.True(t, ours)
	assert.Equal(t, sent[0].Ack.GetUint64(), one.Number)
	for _, message := range []any{
		&wire.Written{Ack: sent[1].Ack}, &wire.Written{}, &wire.Done{Ack: sent[2].Ack}, nil, (*wire.Written)(nil),
		&wire.Written{Ack: &wire.Value{Kind: &wire.Value_Int{Int: int64(sent[2].Ack.GetUint64())}}},
	} {
		_, ours, err = writes.Answer(message)
		assert.NoError(t, err)
		assert.False(t, ours, "%T", message)
	}
	assert.Equal(t, []owner.Unanswered{{Number: sent[2].Ack.GetUint64(), Data: []byte("c")}}, writes.Unanswered())
	assert.Empty(t, writes.Unanswered())
}

// The zero Writes is one with the default bound.
func TestTheZeroWritesHasTheDefaultBound(t *testing.T) {
	var writes owner.Writes
	for range 64 {
		_, err := writes.Write(nil)
		require.NoError(t, err)
	}
	_, err := writes.Write(nil)
	assert.ErrorIs(t, err, owner.ErrTooManyWrites)
}

// A WriteFailed is a failure, also of a program that says no error.
func TestAWriteThatFailedWithoutAnErrorHasFailed(t *testing.T) {
	writes := owner.NewWrites(1)
	command, err := writes.Write([]byte("a"))
	require.NoError(t, err)
	write, ours, err := writes.Answer(&wire.WriteFailed{Ack: command.Ack})
	assert.ErrorIs(t, err, wire.ErrMalformed)
	assert.True(t, ours)
	assert.Equal(t, "a", string(write.Data))
	_, ours, err = writes.Answer((*wire.WriteFailed)(nil))
	assert.NoError(t, err)
	assert.False(t, ours)
}

func TestBadOptionsAreRefused(t *testing.T) {
	someone := func(berth.Socket) *actor.PID { return nil }
	for _, options := range []owner.Options{
		{}, {Owner: someone, Credit: -1}, {Owner: someone, Credit: 1<<20 + 1}, {Owner: someone, Grace: -1},
	} {
		_, err := owner.New(options)
		require.Error(t, err)
		assert.True(t, strings.HasPrefix(err.Error(), "owner: "))
	}
}

// With more the connection could refuse one and take the next.
func TestByDefaultWritesWithoutAnswerFillNoMoreThanTheQueue(t *testing.T) {
	writes := owner.NewWrites(0)
	for range (berth.ConnectionOptions{}).WithDefaults().WriteQueueSize {
		_, err := writes.Write(nil)
		require.NoError(t, err)
	}
	_, err := writes.Write(nil)
	assert.ErrorIs(t, err, owner.ErrTooManyWrites)
}

// An owner of two connections gets the answers of both, and none of them names its connection.
func TestWritesTakeNoAnswerOfOthers(t *testing.T) {
	one, other := owner.NewWrites(0), owner.NewWrites(0)
	ours, err := one.Write([]byte("a"))
	require.NoError(t, err)
	theirs, err := other.Write([]byte("b"))
	require.NoError(t, err)
	_, took, _ := one.Answer(&wire.Written{Ack: theirs.Ack})
	assert.False(t, took)
	write, took, err := other.Answer(&wire.Written{Ack: theirs.Ack})
	require.NoError(t, err)
	assert.True(t, took)
	assert.Equal(t, "b", string(write.Data))
	_, took, _ = other.Answer(&wire.Written{Ack: ours.Ack})
	assert.False(t, took)
	assert.Len(t, one.Unanswered(), 1)
}

// The gateway's program begins TLS on a connection; the owner is told when it is done.
func TestAnOwnerIsToldOfTLS(t *testing.T) {
	certificate, trusting := setup.TLS()
	var theOwner *actor.PID
	options := owner.Options{Owner: func(socket berth.Socket) *actor.PID {
		assert.NoError(t, socket.StartTLS(certificate))
		return theOwner
	}}
	withinDesks(t, options, func(first *desk) { theOwner = first.pid }, func(t *testing.T, first, _ *desk, plain net.Conn) {
		connection := next[*wire.Owned](t, first).Connection
		client := tls.Client(plain, trusting)
		require.NoError(t, client.HandshakeContext(t.Context()))
		assert.Equal(t, connection.Id, next[*wire.TLSStarted](t, first).Connection.Id)
		typed(t, client, "a secret")
		assert.Equal(t, "a secret", string(next[*wire.Data](t, first).Bytes))
	})
}
