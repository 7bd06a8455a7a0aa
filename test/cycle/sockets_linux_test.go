//go:build !berthcycle

package cycle_test

import (
	"os/exec"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth/connection/transport"
)

var networks = []string{"unix", "tcp"}

// socketClient is a client with a socket of the system.
type socketClient struct {
	fd      int
	message []byte
	answer  []byte
	waits   int // bytes of the answer that have not come
}

func newClient(_ *transport.Poll, there int, message []byte) client {
	return &socketClient{fd: there, message: message, answer: make([]byte, len(message))}
}

func (c *socketClient) Exchange() bool {
	for c.waits > 0 {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&c.answer[0])), uintptr(len(c.answer)), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return false
		}
		c.waits -= int(n)
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(c.fd), uintptr(unsafe.Pointer(&c.message[0])), uintptr(len(c.message)), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 || int(n) != len(c.message) {
		panic("the client's socket takes no message")
	}
	c.waits = len(c.message)
	return true
}

func (c *socketClient) End() {}

// The build in memory is in no other test.
func TestTheSocketsInMemoryAnswerToo(t *testing.T) {
	out, err := exec.Command("go", "test", "-tags", "berthcycle", "-run", "^TestEveryMessageIsAnswered$", "-bench", "^BenchmarkCycle$/./^50$",
		"-benchtime", "100x", ".").CombinedOutput()
	require.NoError(t, err, string(out))
	require.Contains(t, string(out), "BenchmarkCycle/memory/50")
}
