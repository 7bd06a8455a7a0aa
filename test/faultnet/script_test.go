package faultnet_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/nettest"

	"github.com/go-berth/berth/test/faultnet"
	"github.com/go-berth/berth/test/simnet"
)

// played opens a connection of which the user's end plays a script.
func played(t *testing.T, script faultnet.Script, test func(t *testing.T, user *faultnet.Conn, peer *simnet.Conn, since func() time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		outside, peer := simnet.Pipe(simnet.Options{})
		user := faultnet.NewConn(outside, script)
		defer peer.Close()
		defer user.Close()
		began := time.Now()
		test(t, user, peer, func() time.Duration { return time.Since(began) })
	})
}

var errScript = errors.New("as the script says")

func TestAScriptSaysWhatBecomesOfReads(t *testing.T) {
	script := faultnet.Script{Reads: []faultnet.Step{
		{Most: 2}, {}, {Most: 1, Err: errScript}, {Most: faultnet.None}, {Most: faultnet.None, Err: syscall.ECONNRESET}, {Stall: sec},
	}}
	played(t, script, func(t *testing.T, user *faultnet.Conn, peer *simnet.Conn, since func() time.Duration) {
		p := make([]byte, 4)
		read := func(text string, err error) {
			t.Helper()
			n, got := user.Read(p)
			assert.Equal(t, text, string(p[:n]))
			assert.Equal(t, err, got)
		}
		_, err := io.WriteString(peer, "abcdefghijklmno")
		require.NoError(t, err)
		read("ab", nil)
		read("cdef", nil)
		read("g", errScript)
		read("", nil)
		read("", syscall.ECONNRESET)
		assert.Zero(t, since())
		read("hijk", nil)
		assert.Equal(t, sec, since())
		read("lmno", nil)
		assert.Equal(t, sec, since(), "the script is over")
	})
}

func TestAScriptSaysWhatBecomesOfWrites(t *testing.T) {
	script := faultnet.Script{Writes: []faultnet.Step{{Most: 2}, {}, {Most: 1, Err: errScript}, {Err: errScript}, {Most: faultnet.None, Err: errScript}, {Stall: sec}}}
	played(t, script, func(t *testing.T, user *faultnet.Conn, peer *simnet.Conn, since func() time.Duration) {
		for _, step := range []struct {
			n   int
			err error
			at  time.Duration
		}{{2, nil, 0}, {4, nil, 0}, {1, errScript, 0}, {4, errScript, 0}, {0, errScript, 0}, {4, nil, sec}, {4, nil, sec}} {
			n, err := io.WriteString(user, "abcd")
			assert.Equal(t, step.n, n)
			assert.Equal(t, step.err, err)
			assert.Equal(t, step.at, since())
		}
		require.NoError(t, user.CloseWrite())
		got, err := io.ReadAll(peer)
		require.NoError(t, err)
		assert.Equal(t, "ab"+"abcd"+"a"+"abcd"+""+"abcd"+"abcd", string(got))
	})
}

func TestAStallEndsWithTheDeadlineOrClose(t *testing.T) {
	forever := []faultnet.Step{{Stall: faultnet.Forever}, {Stall: faultnet.Forever}, {Stall: faultnet.Forever}, {Stall: faultnet.Forever}}
	script := faultnet.Script{Reads: forever, Writes: forever}
	played(t, script, func(t *testing.T, user *faultnet.Conn, _ *simnet.Conn, since func() time.Duration) {
		fails := func(want error, at time.Duration, move func([]byte) (int, error)) {
			t.Helper()
			_, err := move(make([]byte, 1))
			assert.ErrorIs(t, err, want)
			assert.Equal(t, at, since())
		}
		require.NoError(t, user.SetReadDeadline(time.Now().Add(sec)))
		require.NoError(t, user.SetWriteDeadline(time.Now().Add(2*sec)))
		fails(os.ErrDeadlineExceeded, sec, user.Read)
		fails(os.ErrDeadlineExceeded, 2*sec, user.Write)
		require.NoError(t, user.SetDeadline(time.Time{}))
		go func() {
			time.Sleep(sec)
			_ = user.SetDeadline(time.Now().Add(time.Hour)) // moved while a call waits
			_ = user.SetDeadline(time.Now().Add(sec))
		}()
		fails(os.ErrDeadlineExceeded, 4*sec, user.Read)
		fails(os.ErrDeadlineExceeded, 4*sec, user.Write)
		require.NoError(t, user.SetDeadline(time.Time{}))
		time.AfterFunc(sec, func() { _ = user.Close() })
		fails(net.ErrClosed, 5*sec, user.Read)
		fails(net.ErrClosed, 5*sec, user.Write)
	})
}

func TestAConnectionIsResetAfterSoManyBytes(t *testing.T) {
	played(t, faultnet.Script{ResetAfter: 10}, func(t *testing.T, user *faultnet.Conn, peer *simnet.Conn, _ func() time.Duration) {
		_, err := io.WriteString(peer, "abcdef")
		require.NoError(t, err)
		p := make([]byte, 100)
		n, err := user.Read(p)
		require.NoError(t, err)
		assert.Equal(t, 6, n)
		n, err = io.WriteString(user, "ABC")
		require.NoError(t, err)
		assert.Equal(t, 3, n)
		n, err = io.WriteString(user, "DEF")
		require.NoError(t, err)
		assert.Equal(t, 1, n, "as far as there")
		for _, move := range []func([]byte) (int, error){user.Read, user.Write} {
			n, err = move(p)
			assert.Zero(t, n)
			assert.ErrorIs(t, err, syscall.ECONNRESET)
		}
		got, err := io.ReadAll(peer)
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		assert.Equal(t, "ABCD", string(got))
	})
}

func TestACloseThatBlocksFreesTheOthersFirst(t *testing.T) {
	script := faultnet.Script{Reads: []faultnet.Step{{Stall: faultnet.Forever}}, Close: faultnet.Step{Stall: 3 * sec, Err: errScript}}
	played(t, script, func(t *testing.T, user *faultnet.Conn, peer *simnet.Conn, since func() time.Duration) {
		freed := make(chan time.Duration, 1)
		go func() {
			_, _ = user.Read(make([]byte, 1))
			freed <- since()
		}()
		synctest.Wait()
		assert.Equal(t, errScript, user.Close())
		assert.Equal(t, 3*sec, since())
		assert.Zero(t, <-freed)
		_, err := peer.Read(make([]byte, 1))
		assert.Equal(t, io.EOF, err)
		assert.ErrorIs(t, user.Close(), net.ErrClosed, "the second is an ordinary one")
		assert.Equal(t, 3*sec, since())
	})
}

func TestAConnWithoutAScriptIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (net.Conn, net.Conn, func(), error) {
		outside, peer := simnet.Pipe(simnet.Options{})
		user := faultnet.NewConn(outside, faultnet.Script{})
		return user, peer, func() { _ = user.Close(); _ = peer.Close() }, nil
	})
}

func TestWhatTheConnectionBelowCannotDoIsAnError(t *testing.T) {
	one, two := net.Pipe()
	defer two.Close()
	user := faultnet.NewConn(one, faultnet.Script{})
	defer user.Close()
	assert.ErrorIs(t, user.CloseWrite(), errors.ErrUnsupported)
	assert.ErrorIs(t, user.SetLinger(0), errors.ErrUnsupported)
}

func TestAcceptsFailAsTheScriptSays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := simnet.Listen(simnet.Options{})
		l := faultnet.NewListener(sim)
		defer l.Close()
		dial := func() {
			c, err := sim.Dial(t.Context())
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
		}
		accepts := func() net.Conn {
			t.Helper()
			c, err := l.Accept()
			require.NoError(t, err)
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		dial()
		dial()
		dial()
		l.Fail(syscall.EMFILE, syscall.ECONNABORTED)
		l.Fail(errScript)
		for _, want := range []error{syscall.EMFILE, syscall.ECONNABORTED, errScript} {
			_, err := l.Accept()
			assert.Equal(t, want, err)
		}
		assert.IsType(t, &simnet.Conn{}, accepts())
		l.Wrap(func(c net.Conn) net.Conn { return faultnet.NewConn(c, faultnet.Script{}) })
		assert.IsType(t, &faultnet.Conn{}, accepts())
		l.Do(func() error { panic(errScript) })
		assert.PanicsWithValue(t, errScript, func() { _, _ = l.Accept() })
		l.Fail(syscall.EMFILE)
		l.Heal()
		assert.IsType(t, &simnet.Conn{}, accepts(), "healed")
		require.NoError(t, l.SetDeadline(time.Now().Add(sec)))
		_, err := l.Accept()
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
	assert.ErrorIs(t, faultnet.NewListener(struct{ net.Listener }{}).SetDeadline(time.Time{}), errors.ErrUnsupported)
}
