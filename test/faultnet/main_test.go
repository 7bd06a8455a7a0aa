package faultnet_test

import (
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/test/faultnet"
	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// line is one connection through a network: user is the end under test, peer is outside.
type line struct {
	t          *testing.T
	network    *faultnet.Network
	user, peer net.Conn
	began      time.Time
}

const seed = 1

// inBubble opens a line, and closes what the test left of it.
func inBubble(t *testing.T, test func(l *line), toxics ...faultnet.Toxic) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := open(t, seed, toxics...)
		defer l.close()
		test(l)
	})
}

func open(t *testing.T, seed uint64, toxics ...faultnet.Toxic) *line {
	outside, peer := simnet.Pipe(simnet.Options{})
	network := faultnet.NewNetwork(seed, toxics...)
	return &line{t: t, network: network, user: network.Conn(outside), peer: peer, began: time.Now()}
}

func (l *line) close() {
	_ = l.user.Close()
	_ = l.peer.Close()
	l.network.Close()
}

// since returns the time since the line was opened.
func (l *line) since() time.Duration { return time.Since(l.began) }

func (l *line) write(to net.Conn, text string) {
	l.t.Helper()
	n, err := io.WriteString(to, text)
	require.NoError(l.t, err)
	require.Equal(l.t, len(text), n)
}

// arrival is the result of one Read, and its time.
type arrival struct {
	at   time.Duration
	text string
}

// arrivals reads up to the end, or an error.
func (l *line) arrivals(from net.Conn) (all []arrival, err error) {
	p := make([]byte, 64<<10)
	for {
		n, err := from.Read(p)
		if n > 0 {
			all = append(all, arrival{l.since(), string(p[:n])})
		}
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

// expect requires that exactly these arrive, and then the end.
func (l *line) expect(from net.Conn, end time.Duration, want ...arrival) {
	l.t.Helper()
	got, err := l.arrivals(from)
	require.NoError(l.t, err)
	assert.Equal(l.t, want, got)
	assert.Equal(l.t, end, l.since(), "the end")
}

func closeWrite(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.(interface{ CloseWrite() error }).CloseWrite())
}

func resets(t *testing.T, conn net.Conn) {
	t.Helper()
	require.NoError(t, conn.(interface{ SetLinger(sec int) error }).SetLinger(0))
	require.NoError(t, conn.Close())
}

// eachWay runs a test from the user to the peer, and from the peer to the user.
func eachWay(t *testing.T, test func(l *line, from, to net.Conn), toxics ...faultnet.Toxic) {
	t.Helper()
	t.Run("written", func(t *testing.T) {
		inBubble(t, func(l *line) { test(l, l.user, l.peer) }, toxics...)
	})
	t.Run("read", func(t *testing.T) {
		inBubble(t, func(l *line) { test(l, l.peer, l.user) }, toxics...)
	})
}
