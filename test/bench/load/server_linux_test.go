package load_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/bench/load"
	"github.com/go-berth/berth/test/bench/plan"
)

// listen serves every connection with handle until the test ends; its process is the test's own.
func listen(t *testing.T, handle func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				handle(conn)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})
	return listener.Addr().String()
}

func echo(conn net.Conn) { _, _ = io.Copy(conn, conn) }

// mangled is an echo server that passes its replies through change; at is the position of the
// chunk within the connection.
func mangled(change func(at int, chunk []byte) []byte) func(net.Conn) {
	return func(conn net.Conn) {
		buffer := make([]byte, 4096)
		for at := 0; ; {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			if _, err := conn.Write(change(at, bytes.Clone(buffer[:n]))); err != nil {
				return
			}
			at += n
		}
	}
}

// drowsy echoes, and sleeps first if the chunk says so, all connections under one lock if there is
// one.
func drowsy(sleep time.Duration, lock sync.Locker) func(net.Conn) {
	return mangled(func(_ int, chunk []byte) []byte {
		lock.Lock()
		defer lock.Unlock()
		if bytes.HasPrefix(chunk, []byte("sleep")) {
			time.Sleep(sleep)
		}
		return chunk
	})
}

type noLock struct{}

func (noLock) Lock()   {}
func (noLock) Unlock() {}

// ownPID stands for the server: it runs in this process.
var ownPID = os.Getpid()

// run drives the server at addr for a short window.
func run(addr string, c plan.Case) (load.Result, error) {
	return load.Run(load.Job{Case: c, Addr: addr, PID: ownPID, Duration: 100 * time.Millisecond, Threads: 1})
}

func echoCase() plan.Case {
	return plan.Case{Kind: plan.Echo, Conns: 4, Depth: 1, Size: 64}
}
