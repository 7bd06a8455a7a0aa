package berthtest_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/berthtest"
)

func TestTheSocketRecordsEveryCall(t *testing.T) {
	socket := berthtest.NewSocket(t)
	n, err := socket.Write([]byte("one"))
	assert.Equal(t, 3, n)
	require.NoError(t, err)
	n, err = socket.WriteContext(t.Context(), []byte("two"))
	assert.Equal(t, 3, n)
	require.NoError(t, err)
	m, err := io.Copy(socket.Writer(t.Context()), strings.NewReader("three"))
	assert.Equal(t, int64(5), m)
	require.NoError(t, err)
	require.NoError(t, socket.WriteOwned([]byte("four"), nil))
	require.NoError(t, socket.WriteBuffers([][]byte{[]byte("fi"), []byte("ve")}, nil))
	var buffer berthtest.Buffer
	n, err = socket.Forward(buffer.Feed("six"))
	assert.Equal(t, 3, n)
	require.NoError(t, err)
	assert.Zero(t, buffer.Len())
	require.NoError(t, socket.WriteFile(file(t, "no seven"), 3, 5, nil))
	socket.Do(&protocol.Write{Data: []byte("eight")}, nil)
	socket.Pause()
	assert.True(t, socket.Paused())
	socket.Resume()
	assert.False(t, socket.Paused())
	socket.Do(&protocol.Resume{Credit: 3}, nil)
	socket.SetTimeouts(protocol.Timeouts{Idle: time.Minute})
	assert.Equal(t, time.Minute, socket.Timeouts().Idle)
	socket.Detach()
	socket.Link(actor.NewPID("nonhost", "friend"))
	socket.Unlink(nil)
	require.NoError(t, socket.Become(berth.HandlerFunc(nil)))
	require.Error(t, socket.Become(nil))
	require.NoError(t, socket.Close())
	require.ErrorIs(t, socket.Become(berth.HandlerFunc(nil)), berth.ErrClosed)
	socket.CloseWrite()
	socket.Abort()

	assert.Equal(t, []string{
		`Write "one"`, `WriteContext "two"`, `WriteContext "three"`, `WriteOwned "four"`, `WriteBuffers "five"`,
		`Forward "six"`, `WriteFile "seven"`, `Do(Write) "eight"`, "Pause", "Resume", "Resume 3",
		"SetTimeouts {Idle:1m0s Read:0s MaxAge:0s}", "Detach",
		"Link friend", "Unlink ", "Become", "Close", "CloseWrite", "Abort",
	}, socket.Calls())
	assert.Equal(t, []string{"one", "two", "three", "four", "five", "six", "seven", "eight"}, socket.Writes())
	assert.Equal(t, "onetwothreefourfivesixseveneight", socket.Written())
	assert.Equal(t, []protocol.Command{
		&protocol.Pause{}, &protocol.Resume{}, &protocol.Resume{Credit: 3}, &protocol.Detach{},
		&protocol.Link{PID: actor.NewPID("nonhost", "friend")}, &protocol.Unlink{},
		&protocol.Become{Handler: berth.HandlerFunc(nil)}, &protocol.Close{}, &protocol.CloseWrite{}, &protocol.Abort{},
	}, socket.Commands())
}

func file(t *testing.T, text string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func TestCompletionsRunWhenTheTestSaysSo(t *testing.T) {
	socket := berthtest.NewSocket(t)
	var order []string
	done := func(name string) func(error) {
		return func(err error) { order = append(order, strings.TrimSpace(name+" "+text(err))) }
	}
	require.NoError(t, socket.WriteOwned([]byte("one"), done("one")))
	require.NoError(t, socket.WriteOwned([]byte("two"), func(err error) {
		done("two")(err)
		assert.NoError(t, socket.WriteOwned([]byte("three"), done("three")))
	}))
	socket.Do(&protocol.Pause{}, done("pause"))
	_, _ = socket.Write([]byte("silent"))
	assert.Empty(t, order)
	info := socket.Info()
	assert.Equal(t, 3, info.QueuedWrites)
	assert.Equal(t, 12, info.QueuedBytes)

	assert.True(t, socket.FlushOne())
	assert.Equal(t, []string{"one"}, order)
	assert.Equal(t, 2, socket.Flush())
	assert.Equal(t, []string{"one", "two", "pause"}, order)
	assert.Equal(t, 1, socket.Flush(), "what a completion queued")
	assert.Zero(t, socket.Flush())
	assert.False(t, socket.FlushOne())
	assert.Equal(t, []string{"one", "two", "pause", "three"}, order)
	info = socket.Info()
	assert.Zero(t, info.QueuedWrites)
	assert.Equal(t, uint64(17), info.Stats.Written)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestWritesAreRefusedOnDemand(t *testing.T) {
	socket := berthtest.NewSocket(t)
	socket.RefuseAfter(1, berth.ErrWriteBufferFull)
	_, err := socket.Write([]byte("one"))
	require.NoError(t, err)
	n, err := socket.Write([]byte("two"))
	require.ErrorIs(t, err, berth.ErrWriteBufferFull)
	assert.Zero(t, n)
	require.ErrorIs(t, socket.WriteOwned([]byte("two"), func(error) { t.Error("it was refused") }), berth.ErrWriteBufferFull)
	var buffer berthtest.Buffer
	_, err = socket.Forward(buffer.Feed("two"))
	require.ErrorIs(t, err, berth.ErrWriteBufferFull)
	assert.Equal(t, 3, buffer.Len(), "what is not forwarded stays")
	refused := make(chan error, 1)
	socket.Do(&protocol.Write{Data: []byte("two")}, func(err error) { refused <- err })
	assert.Equal(t, 1, socket.Flush())
	require.ErrorIs(t, <-refused, berth.ErrWriteBufferFull)
	assert.Equal(t, 4, socket.Refused())

	socket.Accept()
	_, err = socket.Forward(&buffer.Buffer)
	require.NoError(t, err)
	assert.Equal(t, "onetwo", socket.Written())
	assert.Equal(t, []string{
		`Write "one"`, `Write "two": berth: write buffer full`, `WriteOwned "two": berth: write buffer full`,
		`Forward "two": berth: write buffer full`, `Do(Write) "two": berth: write buffer full`, `Forward "two"`,
	}, socket.Calls())
}

func TestWriteContextWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		socket := berthtest.NewSocket(t)
		socket.Refuse(berth.ErrWriteQueueFull)
		written := make(chan error, 1)
		go func() {
			_, err := socket.WriteContext(t.Context(), []byte("patient"))
			written <- err
		}()
		synctest.Wait()
		assert.Empty(t, socket.Writes())
		socket.Accept()
		require.NoError(t, <-written)
		assert.Equal(t, "patient", socket.Written())

		socket.Refuse(berth.ErrWriteQueueFull)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err := socket.WriteContext(ctx, []byte("impatient"))
		require.ErrorIs(t, err, context.DeadlineExceeded)

		socket.Refuse(berth.ErrWriteTooLarge)
		_, err = socket.WriteContext(t.Context(), []byte("large"))
		require.ErrorIs(t, err, berth.ErrWriteTooLarge)

		socket.Refuse(berth.ErrWriteQueueFull)
		go func() {
			_, err := socket.WriteContext(t.Context(), []byte("too late"))
			written <- err
		}()
		synctest.Wait()
		require.NoError(t, socket.Close())
		require.ErrorIs(t, <-written, berth.ErrClosed)
	})
}

func TestTheEndIsTheErrorOfWhatIsUnderWay(t *testing.T) {
	reset := &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
	for name, c := range map[string]struct {
		end             func(*berthtest.Socket)
		completion      error
		refusal         error
		reason          berth.Reason
		written, unsent uint64
	}{
		"Close":      {func(s *berthtest.Socket) { _ = s.Close() }, nil, berth.ErrClosed, protocol.ReasonLocalClosed, 3, 0},
		"CloseWrite": {func(s *berthtest.Socket) { s.CloseWrite() }, nil, berth.ErrClosed, protocol.ReasonNone, 3, 0},
		"Abort":      {func(s *berthtest.Socket) { s.Abort() }, protocol.ErrAborted, berth.ErrClosed, protocol.ReasonLocalAborted, 0, 3},
		"End":        {func(s *berthtest.Socket) { s.End(nil) }, berth.ErrClosed, berth.ErrClosed, protocol.ReasonTransportError, 0, 3},
		"reset":      {func(s *berthtest.Socket) { s.End(reset) }, reset, reset, protocol.ReasonTransportError, 0, 3},
	} {
		t.Run(name, func(t *testing.T) {
			socket := berthtest.NewSocket(t)
			completed := errors.New("it did not run")
			require.NoError(t, socket.WriteOwned([]byte("one"), func(err error) { completed = err }))
			c.end(socket)
			assert.Equal(t, 1, socket.Flush())
			assert.Equal(t, c.completion, completed)
			_, err := socket.Write([]byte("two"))
			assert.Equal(t, c.refusal, err)
			assert.True(t, socket.Closed())
			info := socket.Info()
			assert.Equal(t, c.reason, info.Reason)
			assert.Equal(t, c.written, info.Stats.Written)
			assert.Equal(t, c.unsent, info.Stats.Unsent)
		})
	}
}

func TestTheFirstEndWins(t *testing.T) {
	socket := berthtest.NewSocket(t)
	closed := errors.New("it did not run")
	socket.Do(&protocol.Close{}, func(err error) { closed = err })
	socket.Abort()
	assert.Equal(t, 1, socket.Flush())
	require.NoError(t, closed, "a Close cannot fail")
	assert.Equal(t, protocol.ReasonLocalClosed, socket.Info().Reason)
}

func TestBytesThatWereGivenAwayMustStay(t *testing.T) {
	var p []byte
	for name, write := range map[string]func(berth.Socket) error{
		"WriteOwned":   func(s berth.Socket) error { return s.WriteOwned(p, nil) },
		"WriteBuffers": func(s berth.Socket) error { return s.WriteBuffers([][]byte{p}, nil) },
		"Do(Write)":    func(s berth.Socket) error { s.Do(&protocol.Write{Data: p}, nil); return nil },
	} {
		p = []byte("hello")
		assert.Equal(t, `the handler changed bytes after it had given them away: `+name+` "hello"`,
			fails(t, func(t testing.TB) {
				socket := berthtest.NewSocket(t)
				assert.NoError(t, write(socket))
				p[0] = 'j'
				assert.Equal(t, "hello", socket.Written())
			}))
	}
	passes(t, func(t testing.TB) {
		socket := berthtest.NewSocket(t)
		p := []byte("hello")
		_, err := socket.Write(p)
		assert.NoError(t, err)
		p[0] = 'j' // Write copies
		assert.Equal(t, "hello", socket.Written())
	})
}

func TestAFileThatCannotBeWritten(t *testing.T) {
	socket := berthtest.NewSocket(t)
	f := file(t, "hello")
	require.ErrorIs(t, socket.WriteFile(nil, 0, 1, nil), os.ErrInvalid)
	require.ErrorIs(t, socket.WriteFile(f, -1, 1, nil), os.ErrInvalid)
	require.ErrorIs(t, socket.WriteFile(f, 0, -1, nil), os.ErrInvalid)
	directory, err := os.Open(t.TempDir())
	require.NoError(t, err)
	require.ErrorIs(t, socket.WriteFile(directory, 0, 1, nil), os.ErrInvalid)
	require.NoError(t, directory.Close())
	require.ErrorIs(t, socket.WriteFile(directory, 0, 1, nil), os.ErrClosed)
	assert.Empty(t, socket.Calls())

	var short error
	require.NoError(t, socket.WriteFile(f, 3, 5, func(err error) { short = err }))
	socket.Flush()
	require.ErrorIs(t, short, io.ErrUnexpectedEOF)
	assert.Equal(t, "lo", socket.Written())
}

func TestTheSocketIsWhatTheTestSays(t *testing.T) {
	socket := berthtest.NewSocket(t)
	assert.NotEqual(t, socket.PID(), berthtest.NewSocket(t).PID())
	assert.Equal(t, "192.0.2.1:7000", socket.LocalAddr().String())
	assert.Equal(t, "198.51.100.1:50000", socket.RemoteAddr().String())
	assert.Zero(t, socket.Restarts())
	assert.Nil(t, socket.ProxyHeader())
	assert.Nil(t, socket.Value())
	assert.Equal(t, protocol.StateOpen, socket.Info().State)
	socket.Remote = &net.TCPAddr{IP: net.IPv6loopback, Port: 9}
	socket.Proxy = &protocol.ProxyHeader{Version: 2}
	socket.Restarted = 3
	socket.SetValue("kept")
	assert.Equal(t, "[::1]:9", socket.Info().RemoteAddr)
	assert.Equal(t, 2, socket.ProxyHeader().Version)
	assert.Equal(t, 3, socket.Restarts())
	assert.Equal(t, "kept", socket.Value())
	var group berth.Group
	require.NoError(t, group.Add(socket))
	_, err := group.Write([]byte("to all"))
	require.NoError(t, err)
	assert.Equal(t, "to all", socket.Written())
}
