package listener

import (
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/faultnet"
	"github.com/go-berth/berth/test/simnet"
)

const busy = "421 come again later\r\n"

// words reads what a client gets before FIN.
func words(t *testing.T, c net.Conn) string {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	text, err := io.ReadAll(c)
	require.NoError(t, err, "FIN and not RST")
	return string(text)
}

func TestAClientThatIsTurnedAwayGetsTheRejectMessage(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for _, network := range []string{"tcp", "unix"} {
			before := descriptors()
			o.MaxConnections, o.WhenFull, o.RejectMessage, o.Network = 1, Reject, []byte(busy), network
			addr := anyPort
			if network == "unix" {
				addr = t.TempDir() + "/s"
			}
			l, err := Listen(newWorld().Root, addr, of(newEcho()), o)
			require.NoError(t, err)
			first := dial(t, l)
			echoes(t, first)
			for range 3 {
				second := dial(t, l)
				assert.Equal(t, busy, words(t, second))
				_ = second.Close()
			}
			echoes(t, first)
			_ = first.Close()
			require.NoError(t, l.Close())
			eventually(t, func() bool { return descriptors() <= before })
		}
	})
}

func TestADeniedClientGetsNoRejectMessage(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.WhenFull, o.RejectMessage, o.Deny = Reject, []byte(busy), everywhere
		assert.Empty(t, words(t, dial(t, newWorld().listen(t, of(newEcho()), o))))
	})
}

func TestTheRejectMessageIsForTooManyFromOneAddressAndTooFastToo(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		o.WhenFull, o.RejectMessage, o.MaxConnectionsPerIP = Reject, []byte(busy), 1
		l := newWorld().listen(t, of(newEcho()), o)
		echoes(t, dial(t, l))
		assert.Equal(t, busy, words(t, dial(t, l)))
		o.MaxConnectionsPerIP, o.AcceptRate = 0, 1.0/3600
		require.NoError(t, l.SetOptions(o))
		echoes(t, dial(t, l))
		assert.Equal(t, busy, words(t, dial(t, l)))
	})
}

// Over a net.Conn of the user's a goroutine has to wait, but not the acceptor: the next client is
// served meanwhile.
func TestARejectMessageDelaysNoOtherClient(t *testing.T) {
	o := Options{MaxConnections: 1, WhenFull: Reject, RejectMessage: []byte(busy)}
	inABubble(t, o, func(t *testing.T, _ *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		first := dial()
		echoes(t, first)
		began := time.Now()
		second := dial()
		text := make([]byte, len(busy))
		_, err := io.ReadFull(second, text)
		require.NoError(t, err)
		assert.Equal(t, busy, string(text))
		_, err = second.Read(text)
		require.ErrorIs(t, err, io.EOF)
		_ = first.Close()
		synctest.Wait()
		echoes(t, dial())
		assert.Equal(t, began, time.Now(), "no time has passed")
		_, err = second.Write([]byte("late"))
		require.NoError(t, err, "what comes late is read away")
		time.Sleep(rejectTime)
		synctest.Wait()
		assert.Empty(t, l.server.rejections.under)
	})
}

func TestARejectMessageIsCutOffByTheEnd(t *testing.T) {
	o := Options{MaxConnections: 1, WhenFull: Reject, RejectMessage: []byte(busy), Connection: brisk}
	inABubble(t, o, func(t *testing.T, _ *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		first := dial()
		echoes(t, first)
		_ = dial()
		synctest.Wait()
		require.Len(t, l.server.rejections.under, 1)
		_ = first.Close()
		began := time.Now()
		require.NoError(t, l.Shutdown(t.Context()))
		assert.Less(t, time.Since(began), rejectTime/2)
		assert.Empty(t, l.server.rejections.under)
	})
}

// stubborn is a client whose Write does not return before it is closed.
type stubborn struct {
	net.Conn
	closed chan struct{}
	once   sync.Once
}

func (s *stubborn) Write([]byte) (int, error) { <-s.closed; return 0, os.ErrClosed }

func (s *stubborn) Close() error {
	s.once.Do(func() { close(s.closed) })
	return s.Conn.Close()
}

func (s *stubborn) SetDeadline(time.Time) error { return os.ErrNoDeadline }

// stubbornListener accepts such clients after the first.
type stubbornListener struct {
	*simnet.Listener
	accepted int
}

func (l *stubbornListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if l.accepted++; err == nil && l.accepted > 1 {
		conn = &stubborn{Conn: conn, closed: make(chan struct{})}
	}
	return conn, err
}

func TestHoweverManyDoNotTakeTheirRejectMessageTheGoroutinesAreFew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients = mostRejections + 20
		w := newWorld()
		network := simnet.Listen(simnet.Options{})
		l, err := Serve(w.Root, &stubbornListener{Listener: network}, of(newEcho()),
			Options{MaxConnections: 1, WhenFull: Reject, RejectMessage: []byte(busy)})
		require.NoError(t, err)
		for range 1 + clients {
			c, err := network.Dial(t.Context())
			require.NoError(t, err)
			t.Cleanup(func() { c.Close() })
		}
		synctest.Wait()
		assert.EqualValues(t, clients, l.Info().Refused[protocol.RefusalFull], "the acceptor goes on")
		assert.Len(t, l.server.rejections.under, mostRejections)
		require.NoError(t, l.Close())
		assert.Empty(t, l.server.rejections.under)
		time.Sleep(2 * time.Second) // a dead letter's throttle
		synctest.Wait()
	})
}
