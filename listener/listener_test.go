package listener

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

func TestAListenerServesAndTellsOfItself(t *testing.T) {
	w := newWorld()
	l := w.listen(t, of(newEcho()), Options{MaxConnections: 9})
	echoes(t, dial(t, l))
	eventually(t, func() bool { return l.Info().QueuedWrites == 0 }) // the answer came, and its release is on the way
	info := l.Info()
	assert.Equal(t, protocol.ListenerInfo{
		Addr: l.Addr().String(), Accepting: true, MaxConnections: 9, Accepted: 1,
		Open: 1, ByState: map[protocol.State]int{protocol.StateOpen: 1}, Read: 5, Written: 5,
	}, info)
	answer, err := w.Root.RequestFuture(l.PID(), &protocol.GetInfo{}, patience).Result()
	require.NoError(t, err)
	assert.Equal(t, &info, answer)
	require.Len(t, published[*Started](w), 1)
	assert.Equal(t, l.Addr(), published[*Started](w)[0].Addr)
}

func TestATakenPortIsTheBindsErrorAndNothingIsStarted(t *testing.T) {
	w := newWorld()
	l := w.listen(t, of(&echo{}), Options{})
	echoes(t, dial(t, l)) // its actors are there
	before := len(w.actors())
	_, err := Listen(w.Root, l.Addr().String(), of(&echo{}), Options{})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	assert.Len(t, w.actors(), before)
	assert.Len(t, published[*Started](w), 1)
}

func TestAUnixSocketInAFolderThatIsNotThereIsTheBindsError(t *testing.T) {
	w := newWorld()
	_, err := Listen(w.Root, filepath.Join(t.TempDir(), "missing", "socket"), of(&echo{}), Options{Network: "unix"})
	require.ErrorIs(t, err, syscall.ENOENT)
	assert.Empty(t, w.actors())
}

func TestAUnixSocketIsServedAndItsFileIsGoneAfterwards(t *testing.T) {
	w := newWorld()
	path := filepath.Join(t.TempDir(), "socket")
	l, err := Listen(w.Root, path, of(newEcho()), Options{Network: "unix"})
	require.NoError(t, err)
	echoes(t, dial(t, l))
	require.NoError(t, l.Close())
	assert.NoFileExists(t, path)
	assert.Empty(t, w.actors())
}

func TestOneSystemHasSeveralListenersAndTheEndOfOneIsNotTheOthers(t *testing.T) {
	w := newWorld()
	one, two := w.listen(t, of(newEcho()), Options{}), w.listen(t, of(newEcho()), Options{})
	first, second := dial(t, one), dial(t, two)
	echoes(t, first)
	echoes(t, second)
	require.NoError(t, one.Close())
	_ = ends(first) // FIN or RST, as it happens
	echoes(t, second)
	echoes(t, dial(t, two))
	_, err := net.Dial("tcp", one.Addr().String())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)
}

// bare is a listener of the user's with the methods of a net.Listener only.
type bare struct{ net.Listener }

func TestAListenerOfTheUsersNeedsNoDeadlines(t *testing.T) {
	w := newWorld()
	inner, err := net.Listen("tcp", anyPort)
	require.NoError(t, err)
	l, err := Serve(w.Root, bare{inner}, of(newEcho()), Options{Connection: brisk})
	require.NoError(t, err)
	c := dial(t, l)
	echoes(t, c)

	l.Suspend()
	early, late := dial(t, l), dial(t, l) // the accept that is under way cannot be called back: it takes early, which still waits
	eventually(t, func() bool { return l.Info().Accepted == 2 })
	for range 20 {
		echoes(t, c)
	}
	assert.Equal(t, 1, l.Info().Open)
	assert.EqualValues(t, 2, l.Info().Accepted)
	require.NoError(t, l.Resume())
	echoes(t, early)
	echoes(t, late)

	require.NoError(t, l.Shutdown(within(t, patience)))
	assert.Empty(t, w.actors())
}

func TestEventsBecomeLogRecords(t *testing.T) {
	w := newWorld()
	var text bytes.Buffer
	subscription := Log(w.ActorSystem, slog.New(slog.NewTextHandler(&text, nil)))
	defer w.EventStream.Unsubscribe(subscription)
	for _, event := range []any{
		&Started{Addr: &net.TCPAddr{Port: 1}},
		&AcceptFailed{Err: syscall.EMFILE, Class: AcceptExhausted},
		&AcceptorFailed{Err: io.ErrUnexpectedEOF, Restarts: 7}, &Reopened{Addr: &net.TCPAddr{Port: 2}},
		&Rejected{}, &BudgetHigh{Buffered: 81, Budget: 100}, &BudgetLow{Buffered: 59}, &DrainStarted{Open: 3}, &Stopped{Aborted: 2},
	} {
		w.EventStream.Publish(event)
	}
	for _, part := range []string{`msg=listening addr=:1`, `error="too many open files" class="resources exhausted"`,
		`error="unexpected EOF" restarts=7`, `"listening again" addr=:2`, `rejected`,
		`high water" buffered=81 budget=100`, `low water" buffered=59`, `draining`, `open=3`, `stopped`, `aborted=2`} {
		assert.Contains(t, text.String(), part)
	}
	assert.Equal(t, 9, bytes.Count(text.Bytes(), []byte("\n")))
}

func TestASupervisorIgnoresWhatItDoesNotKnow(t *testing.T) {
	w := newWorld()
	l := w.listen(t, of(newEcho()), Options{})
	for _, message := range []any{"hello", 42, &protocol.Write{}, &actor.Terminated{Who: l.PID()}, &actor.Terminated{}} {
		w.Root.Send(l.PID(), message)
	}
	echoes(t, dial(t, l))
}

func TestAnEndOfNoActorChangesNothing(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w, e := newWorld(), newEcho()
		c := dial(t, w.listen(t, of(e), o))
		w.Root.Send(receive(t, e.accepted).PID(), &actor.Terminated{})
		echoes(t, c)
		assert.Empty(t, published[*connection.HandlerFailed](w))
	})
}
