package simnet_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// longAgo is a deadline that has passed, inside a bubble and outside.
var longAgo = time.Unix(1, 0)

// call is a Read, Write, Accept or Dial under way on a goroutine of the bubble. Only a call that is
// durably blocked lets synctest.Wait return, so every use of blocked is a test of that as well.
type call struct {
	done chan struct{} // closed when n and err may be read
	n    int
	err  error
}

func start(f func() (int, error)) *call {
	c := &call{done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.n, c.err = f()
	}()
	return c
}

func startRead(c *simnet.Conn, size int) *call {
	return start(func() (int, error) { return c.Read(make([]byte, size)) })
}

func startWrite(c *simnet.Conn, size int) *call {
	return start(func() (int, error) { return c.Write(make([]byte, size)) })
}

func startAccept(l *simnet.Listener) *call {
	return start(func() (int, error) { _, err := l.Accept(); return 0, err })
}

func startDial(ctx context.Context, l *simnet.Listener) *call {
	return start(func() (int, error) { _, err := l.Dial(ctx); return 0, err })
}

// blocked requires that the call has not returned. No time passes.
func (c *call) blocked(t *testing.T) {
	t.Helper()
	synctest.Wait()
	select {
	case <-c.done:
		require.Fail(t, "not blocked", "returned %d, %v", c.n, c.err)
	default:
	}
}

// returned requires that the call has returned. No time passes.
func (c *call) returned(t *testing.T) (int, error) {
	t.Helper()
	synctest.Wait()
	select {
	case <-c.done:
	default:
		require.Fail(t, "still blocked")
	}
	return c.n, c.err
}

func write(t *testing.T, c *simnet.Conn, s string) {
	t.Helper()
	n, err := c.Write([]byte(s))
	require.NoError(t, err)
	require.Equal(t, len(s), n)
}

func read(t *testing.T, c *simnet.Conn) string {
	t.Helper()
	p := make([]byte, 1<<10)
	n, err := c.Read(p)
	require.NoError(t, err)
	return string(p[:n])
}

// connect dials and accepts.
func connect(t *testing.T, l *simnet.Listener) (client, server *simnet.Conn) {
	t.Helper()
	client, err := l.Dial(t.Context())
	require.NoError(t, err)
	accepted, err := l.Accept()
	require.NoError(t, err)
	return client, accepted.(*simnet.Conn)
}
