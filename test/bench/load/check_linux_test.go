package load_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/test/bench/plan"
)

// far is a position that is reached within the window, and not with the first message.
const far = 64 * 20

func TestAChangedByteIsNoticed(t *testing.T) {
	addr := listen(t, mangled(func(at int, chunk []byte) []byte {
		if at >= far {
			chunk[10] ^= 1
		}
		return chunk
	}))
	_, err := run(addr, echoCase())
	assert.ErrorContains(t, err, "byte 1290 came back as")
}

func TestSwappedBytesAreNoticed(t *testing.T) {
	addr := listen(t, mangled(func(at int, chunk []byte) []byte {
		if at >= far {
			chunk[20], chunk[21] = chunk[21], chunk[20]
		}
		return chunk
	}))
	_, err := run(addr, echoCase())
	assert.ErrorContains(t, err, "byte 1300 came back as")
}

func TestSwappedMessagesAreNoticed(t *testing.T) {
	addr := listen(t, mangled(func(_ int, chunk []byte) []byte {
		if len(chunk) >= 128 {
			return append(append(chunk[64:128:128], chunk[:64]...), chunk[128:]...)
		}
		return chunk
	}))
	c := echoCase()
	c.Depth = 16
	_, err := run(addr, c)
	assert.ErrorContains(t, err, "came back as")
}

func TestAMissingByteIsNoticed(t *testing.T) {
	addr := listen(t, mangled(func(at int, chunk []byte) []byte {
		if at >= far && at < far+4096 {
			return chunk[1:]
		}
		return chunk
	}))
	c := echoCase()
	c.Depth = 16
	_, err := run(addr, c)
	assert.Error(t, err)
}

func TestASurplusByteIsNoticed(t *testing.T) {
	addr := listen(t, mangled(func(_ int, chunk []byte) []byte { return append(chunk, chunk[0]) }))
	_, err := run(addr, echoCase())
	assert.ErrorContains(t, err, "bytes came back of")
}

func TestRepliesOnTheWrongConnectionAreNoticed(t *testing.T) {
	// Two connections at a time exchange their replies.
	waiting := make(chan net.Conn, 1)
	addr := listen(t, func(conn net.Conn) {
		select {
		case other := <-waiting:
			go func() { _, _ = copyAll(other, conn) }()
			_, _ = copyAll(conn, other)
		case waiting <- conn:
			<-t.Context().Done()
		}
	})
	c := echoCase()
	c.Conns = 2
	_, err := run(addr, c)
	assert.Error(t, err)
}

func copyAll(to, from net.Conn) (int64, error) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return 0, err
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return 0, err
		}
	}
}

func TestAConnectionClosedByTheServerIsNoticed(t *testing.T) {
	addr := listen(t, func(conn net.Conn) {
		buffer := make([]byte, 64)
		for range 20 {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			if _, err := conn.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	_, err := run(addr, echoCase())
	assert.ErrorContains(t, err, "after 1280 of ")
}

func TestNoServerIsAnError(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NoError(t, err)
	addr := listener.Addr().String()
	listener.Close()
	_, err = run(addr, echoCase())
	assert.ErrorContains(t, err, "no connection to 127.0.0.1:")
}

func TestOnlyLoopbackIsDriven(t *testing.T) {
	for _, addr := range []string{"192.0.2.1:80", "[::1]:80", "localhost:80", ""} {
		_, err := run(addr, echoCase())
		assert.ErrorContains(t, err, "is not an IPv4 loopback address with a port")
	}
}

func TestAnUnknownKindOfCaseIsRefused(t *testing.T) {
	_, err := run("127.0.0.1:1", plan.Case{Kind: "nonsense"})
	assert.EqualError(t, err, `there is no kind of case "nonsense"`)
}
