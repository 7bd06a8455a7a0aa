package netconn

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/berthtest"
)

// reset closes the client's end with RST.
func reset(t *testing.T, client net.Conn) {
	t.Helper()
	require.NoError(t, client.(*net.TCPConn).SetLinger(0))
	require.NoError(t, client.Close())
}

func closeWrite(t *testing.T, client net.Conn) {
	t.Helper()
	require.NoError(t, client.(interface{ CloseWrite() error }).CloseWrite())
}

// writesUntilError returns the first error of a Write.
func writesUntilError(c *Conn) error {
	for {
		if _, err := c.Write(make([]byte, 1000)); err != nil {
			return err
		}
	}
}

// filled writes until the peer, which does not read, keeps bytes from the kernel. It returns all
// that was written.
func filled(t *testing.T, c *Conn) []byte {
	t.Helper()
	var all []byte
	for n := byte(0); c.Socket().Info().QueuedBytes < 16<<10; n++ {
		piece := bytes.Repeat([]byte{n}, 4<<10)
		_, err := c.Write(piece)
		require.NoError(t, err)
		all = append(all, piece...)
	}
	return all
}

func small() listener.Options {
	return listener.Options{SendBufferSize: 16 << 10, RecvBufferSize: 16 << 10}
}

func TestInputStaysReadableAfterAFailedWrite(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		for name, size := range map[string]int{"little": 10, "more than the read buffer": 48 << 10} {
			t.Run(name, func(t *testing.T) {
				var o listener.Options
				o.Connection.LingerTimeout = 20 * time.Millisecond
				c, client := n.pair(t, o)
				text := strings.Repeat("last words", size/10)
				write(t, client, text)
				eventually(t, func() bool { return c.Socket().Info().Stats.Read > 0 })
				reset(t, client)
				opError(t, "write", c, soon(t, func() error { return writesUntilError(c) }))
				ended(t, c) // the connection is gone, and with it what it held
				got, err := readError(t, c)
				assert.Equal(t, text, got)
				assert.NotErrorIs(t, err, io.EOF)
				opError(t, "read", c, err)
			})
		}
	})
}

func TestAResetEndsAReadThatWaitsWithItsCauseAndTheAddresses(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		c, client := n.pair(t, listener.Options{})
		result := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 10))
			result <- err
		}()
		reset(t, client)
		err := receive(t, result)
		assert.ErrorIs(t, err, syscall.ECONNRESET)
		opError(t, "read", c, err)
		assert.False(t, timeout(err))
	})
}

func TestAResetEndsAWriteThatWaitsWithItsCauseAndTheAddresses(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		c, client := n.pair(t, small())
		filled(t, c)
		result := make(chan error)
		go func() { result <- writesUntilError(c) }()
		reset(t, client)
		err := receive(t, result)
		assert.True(t, errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE), "%v", err)
		opError(t, "write", c, err)
	})
}

func TestAfterThePeersFINAReadEndsWithEOFAndWritingGoesOn(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		c, client := n.pair(t, listener.Options{})
		write(t, client, "question")
		closeWrite(t, client)
		for range 2 {
			text, err := readError(t, c)
			assert.Equal(t, io.EOF, err)
			assert.Contains(t, []string{"question", ""}, text)
		}
		write(t, c, "answer")
		assert.Equal(t, "answer", read(t, client, 6))
		require.NoError(t, c.Close())
		_, err := readError(t, client)
		assert.Equal(t, io.EOF, err)
	})
}

func TestAfterCloseWriteTheInputGoesOnToItsEOF(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		c, client := n.pair(t, listener.Options{})
		write(t, c, "all")
		require.NoError(t, c.CloseWrite())
		text, err := readError(t, client)
		assert.Equal(t, "all", text)
		assert.Equal(t, io.EOF, err)
		_, err = c.Write([]byte("more"))
		assert.ErrorIs(t, err, syscall.EPIPE)
		opError(t, "write", c, err)
		write(t, client, "late")
		closeWrite(t, client)
		text, err = readError(t, c)
		assert.Equal(t, "late", text)
		assert.Equal(t, io.EOF, err)
		_, err = c.Write([]byte("more"))
		assert.ErrorIs(t, err, syscall.EPIPE)
	})
}

// Both directions have ended, so the connection ends by itself; the input was not read yet.
func TestWhatCameBeforeTheEndOfBothDirectionsIsRead(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		c, client := n.pair(t, listener.Options{})
		require.NoError(t, c.CloseWrite())
		write(t, client, "unread")
		closeWrite(t, client)
		assert.Equal(t, "un", read(t, c, 2))
		eventually(t, func() bool { return c.Socket().Info().Paused || c.Socket().Info().State > protocol.StateOpen })
		text, err := readError(t, c)
		assert.Equal(t, "read", text)
		assert.Equal(t, io.EOF, err)
	})
}

func TestAfterCloseEveryCallSaysClosed(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		c, client := n.pair(t, listener.Options{})
		write(t, client, "unread")
		require.NoError(t, c.Close())
		_, readErr := c.Read(make([]byte, 1))
		_, writeErr := c.Write([]byte("x"))
		for op, errs := range map[string][]error{
			"read": {readErr}, "write": {writeErr}, "close": {c.Close(), c.CloseWrite(), c.CloseRead()},
			"set": {c.SetDeadline(time.Time{}), c.SetReadDeadline(time.Now()), c.SetWriteDeadline(time.Now())},
		} {
			for _, err := range errs {
				assert.ErrorIs(t, err, net.ErrClosed)
				opError(t, op, c, err)
			}
		}
	})
}

func TestCloseEndsAReadThatWaits(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		c, _ := n.pair(t, listener.Options{})
		result := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			result <- err
		}()
		eventually(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.want != nil })
		require.NoError(t, c.Close())
		assert.ErrorIs(t, receive(t, result), net.ErrClosed)
	})
}

func TestCloseEndsAWriteThatWaits(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		c, _ := n.pair(t, small())
		result := make(chan error)
		go func() {
			_, err := c.Write(make([]byte, 32<<20))
			result <- err
		}()
		eventually(t, func() bool { return c.Socket().Info().QueuedBytes > 0 })
		require.NoError(t, c.Close())
		err := receive(t, result)
		assert.ErrorIs(t, err, net.ErrClosed)
		opError(t, "write", c, err)
	})
}

// Also where unread input would have a kernel reset the connection, and so destroy the output.
func TestCloseFlushesInTheBackground(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		c, client := n.pair(t, small())
		write(t, client, "never read")
		all := filled(t, c)
		require.NoError(t, c.Close())
		text, err := readError(t, client)
		assert.Equal(t, string(all), text)
		assert.Equal(t, io.EOF, err)
		_ = client.Close()
		assert.Equal(t, protocol.ReasonLocalClosed, ended(t, c))
		assert.Equal(t, uint64(len(all)), c.Socket().Info().Stats.Written)
	})
}

func TestEveryByteIsReadOnceAndInOrder(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		var o listener.Options
		o.Connection.ReadBufferSize = 4 << 10
		c, client := n.pair(t, o)
		sent := make([]byte, 1<<20)
		seed := time.Now().UnixNano()
		t.Log("seed", seed)
		random := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)})
		_, _ = random.Read(sent)
		go func() {
			pieces := rand.New(random)
			for rest := sent; len(rest) > 0; {
				n := min(len(rest), 1+pieces.IntN(10_000))
				if _, err := client.Write(rest[:n]); err != nil {
					return
				}
				rest = rest[n:]
			}
			_ = client.(interface{ CloseWrite() error }).CloseWrite()
		}()
		got := soon(t, func() []byte {
			var all []byte
			for i := uint64(0); ; i++ {
				p := make([]byte, 1+(i*7919)%9000)
				if i%5 == 0 { // a Read that gives up must take nothing with it
					_ = c.SetReadDeadline(time.Now().Add(time.Duration(i%3) * time.Microsecond))
				}
				n, err := c.Read(p)
				all = append(all, p[:n]...)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					_ = c.SetReadDeadline(time.Time{})
				} else if err != nil {
					return all
				}
			}
		})
		assert.True(t, bytes.Equal(sent, got), "%d bytes of %d", len(got), len(sent))
	})
}

func TestWhileNothingReadsTheConnectionPausesAndItsMemoryIsBounded(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		const most = 4 << 10
		o := small()
		o.Connection.ReadBufferSize = most
		c, client := n.pair(t, o)
		sent := make(chan int)
		go func() {
			total := 0
			for range 1024 {
				n, err := client.Write(make([]byte, 1024))
				if total += n; err != nil {
					break
				}
			}
			_ = client.(interface{ CloseWrite() error }).CloseWrite()
			sent <- total
		}()
		eventually(t, func() bool { return c.Socket().Info().Paused })
		assert.LessOrEqual(t, c.Socket().Info().Stats.Read, uint64(most))
		text, err := readError(t, c)
		assert.Equal(t, io.EOF, err)
		assert.Len(t, text, receive(t, sent))
	})
}

// What a Write has taken before its deadline goes out, and nothing else does.
func TestAWriteThatGivesUpSaysWhatItHasTaken(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		c, client := n.pair(t, small())
		taken, much := 0, bytes.Repeat([]byte("x"), 32<<20)
		for range 3 {
			require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Hour)))
			result := make(chan error)
			go func() {
				n, err := c.Write(much)
				taken += n
				result <- err
			}()
			eventually(t, func() bool { return c.Socket().Info().QueuedBytes > 0 }) // the kernel has no room
			require.NoError(t, c.SetWriteDeadline(time.Now()))
			err := receive(t, result)
			require.ErrorIs(t, err, os.ErrDeadlineExceeded)
			assert.True(t, timeout(err))
			opError(t, "write", c, err)
		}
		require.NoError(t, c.SetWriteDeadline(time.Time{}))
		go func() {
			_, _ = io.WriteString(c, "end")
			_ = c.Close()
		}()
		text, err := readError(t, client)
		assert.Equal(t, io.EOF, err)
		assert.Len(t, text, taken+3)
		assert.True(t, strings.HasSuffix(text, "xend"))
	})
}

func TestAReadDeadlineActsAtOnceAndCanBeTakenBack(t *testing.T) {
	each(t, networks, func(t *testing.T, n network) {
		c, client := n.pair(t, listener.Options{})
		result := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			result <- err
		}()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(-time.Second)))
		err := receive(t, result)
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		opError(t, "read", c, err)
		write(t, client, "x")
		_, err = c.Read(make([]byte, 1))
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Hour)))
		assert.Equal(t, "x", read(t, c, 1))
		go func() {
			_, err := c.Read(make([]byte, 1))
			result <- err
		}()
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Millisecond))) // sooner than before
		assert.ErrorIs(t, receive(t, result), os.ErrDeadlineExceeded)
	})
}

func TestCloseReadDiscardsTheInput(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		c, client := n.pair(t, small())
		write(t, client, "unread")
		eventually(t, func() bool { return c.Socket().Info().Paused })
		require.NoError(t, c.CloseRead())
		for range 2 {
			_, err := c.Read(make([]byte, 1))
			assert.Equal(t, io.EOF, err)
			write(t, client, strings.Repeat("x", 1<<20))
		}
		eventually(t, func() bool { return c.Socket().Info().Stats.Read == 2<<20+6 })
		write(t, c, "still here")
		assert.Equal(t, "still here", read(t, client, 10))
	})
}

func TestALimitOfTimeIsTheErrorOfTheNextCall(t *testing.T) {
	each(t, sockets(), func(t *testing.T, n network) {
		var o listener.Options
		o.Connection.IdleTimeout = 30 * time.Millisecond
		c, _ := n.pair(t, o)
		_, err := readError(t, c)
		assert.ErrorIs(t, err, protocol.ErrIdleTimeout)
		assert.True(t, timeout(err))
		opError(t, "read", c, err)
		_, err = c.Write([]byte("x"))
		assert.ErrorIs(t, err, protocol.ErrIdleTimeout)
		opError(t, "write", c, err)
	})
}

func TestTimeoutsAreOffUnlessAskedFor(t *testing.T) {
	o := Options(listener.Options{}).Connection.WithDefaults()
	for name, limit := range map[string]time.Duration{
		"idle": o.IdleTimeout, "read": o.ReadTimeout, "write": o.WriteTimeout, "half-close": o.HalfCloseTimeout, "age": o.MaxAge,
	} {
		assert.LessOrEqual(t, limit, time.Duration(0), name)
	}
	asked := Options(listener.Options{Connection: connection.Options{
		WriteTimeout: 1, HalfCloseTimeout: 2, CloseTimeout: 3, ReadBufferSize: 100_000,
	}}).Connection
	assert.Equal(t, []time.Duration{1, 2, 3}, []time.Duration{asked.WriteTimeout, asked.HalfCloseTimeout, asked.CloseTimeout})
	assert.Equal(t, []int{100_000, 100_000}, []int{asked.ReadBufferSize, asked.WriteBufferSize})
}

func TestTheSocketIsThatOfTheConnection(t *testing.T) {
	n := networks[0]
	if !n.available() {
		n = networks[1]
	}
	l, _, dial := n.open(t, mostQueued, listener.Options{})
	client, err := dial()
	require.NoError(t, err)
	defer client.Close()
	c, err := l.Accept()
	require.NoError(t, err)
	require.Equal(t, []protocol.Socket{c.(*Conn).Socket()}, l.Server().Connections())
	assert.Equal(t, client.LocalAddr().String(), c.RemoteAddr().String())
	assert.Equal(t, client.RemoteAddr().String(), c.LocalAddr().String())
	c.(*Conn).Socket().Abort()
	_, err = readError(t, c)
	assert.ErrorIs(t, err, protocol.ErrAborted)
}

func TestAReadOfNothingReturnsAtOnce(t *testing.T) {
	c, _ := networks[1].pair(t, listener.Options{})
	n, err := c.Read(nil)
	assert.NoError(t, err)
	assert.Zero(t, n)
	n, err = c.Write(nil)
	assert.NoError(t, err)
	assert.Zero(t, n)
}

// A connection holds nothing beyond the end of its input.
func TestTheLastBytesAreTakenWithTheEnd(t *testing.T) {
	c := newConn(berthtest.NewSocket(t), true)
	var b protocol.Buffer
	(*protocol.Source)(&b).Attach([]byte("rest"), nil, true)
	c.data(&b)
	assert.Zero(t, b.Len())
	c.peerClosed()
	text, err := readError(t, c)
	assert.Equal(t, "rest", text)
	assert.Equal(t, io.EOF, err)
}

// Bytes may come between a Close and the Become that was asked for before it: they stay.
func TestWhatComesBehindACloseWaitsForTheNextHandler(t *testing.T) {
	socket := berthtest.NewSocket(t)
	c := newConn(socket, false)
	var b protocol.Buffer
	(*protocol.Source)(&b).Attach([]byte("rest"), nil, false)
	c.close()
	c.data(&b)
	assert.Equal(t, 4, b.Len())
	assert.True(t, socket.Paused())
	c.replaced()
	assert.False(t, socket.Paused())
}
