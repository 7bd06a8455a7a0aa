// Package manager has the socket of a service manager, for tests of programs that notify one.
package manager

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// limit is how long Await waits. It is generous: a machine may be busy.
const limit = 30 * time.Second

// Manager is a notify socket. It takes what it gets as systemd does with NotifyAccess=main: a beat
// of another process than the main one is dropped, and any other message of one fails the test.
type Manager struct {
	Addr string // for NOTIFY_SOCKET
	Main int    // the main process: a message with MAINPID changes it
	conn *net.UnixConn
}

// Message is what one datagram said.
type Message struct {
	PID  int // of the sender, as the kernel knows it
	Text string
}

// Value returns that of a variable in the message.
func (m Message) Value(name string) string {
	for line := range strings.Lines(m.Text) {
		if value, found := strings.CutPrefix(line, name+"="); found {
			return strings.TrimSuffix(value, "\n")
		}
	}
	return ""
}

// Listen opens a socket in a directory of the test's.
func Listen(t *testing.T) *Manager { return listen(t, t.TempDir()+"/n") }

// ListenAbstract opens a socket without a file.
func ListenAbstract(t *testing.T) *Manager { return listen(t, "@"+t.TempDir()+"/n") }

func listen(t *testing.T, addr string) *Manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	raw, err := conn.SyscallConn()
	require.NoError(t, err)
	var passing error
	require.NoError(t, raw.Control(func(fd uintptr) {
		passing = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 1)
	}))
	require.NoError(t, passing)
	return &Manager{Addr: addr, conn: conn}
}

// Await returns the next message that systemd would take.
func (m *Manager) Await(t *testing.T) Message {
	t.Helper()
	require.NoError(t, m.conn.SetReadDeadline(time.Now().Add(limit)))
	for {
		text, control := make([]byte, 4096), make([]byte, 256)
		n, c, _, _, err := m.conn.ReadMsgUnix(text, control)
		require.NoError(t, err, "no message")
		if message, taken := m.take(t, text[:n], control[:c]); taken {
			return message
		}
	}
}

// AwaitOther is Await without the beats.
func (m *Manager) AwaitOther(t *testing.T) Message {
	t.Helper()
	for {
		if message := m.Await(t); message.Text != "WATCHDOG=1" {
			return message
		}
	}
}

// Pending returns the messages that have come, and waits for none.
func (m *Manager) Pending(t *testing.T) (messages []Message) {
	t.Helper()
	raw, err := m.conn.SyscallConn()
	require.NoError(t, err)
	require.NoError(t, m.conn.SetReadDeadline(time.Time{}))
	for {
		text, control := make([]byte, 4096), make([]byte, 256)
		var n, c int
		var failed error
		require.NoError(t, raw.Read(func(fd uintptr) bool {
			n, c, _, _, failed = unix.Recvmsg(int(fd), text, control, unix.MSG_DONTWAIT)
			return true
		}))
		if failed == unix.EAGAIN {
			return messages
		}
		require.NoError(t, failed)
		if message, taken := m.take(t, text[:n], control[:c]); taken {
			messages = append(messages, message)
		}
	}
}

func (m *Manager) take(t *testing.T, text, control []byte) (message Message, taken bool) {
	t.Helper()
	parts, err := unix.ParseSocketControlMessage(control)
	require.NoError(t, err)
	require.Len(t, parts, 1)
	sender, err := unix.ParseUnixCredentials(&parts[0])
	require.NoError(t, err)
	message = Message{PID: int(sender.Pid), Text: string(text)}
	if message.PID != m.Main {
		require.Equal(t, "WATCHDOG=1", message.Text, "process %d sent it, and the main one is %d", message.PID, m.Main)
		return message, false
	}
	if pid := message.Value("MAINPID"); pid != "" {
		m.Main, err = strconv.Atoi(pid)
		require.NoError(t, err)
	}
	return message, true
}
