//go:build amd64 || arm64

package listener

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// refusedOption names, in a process that TestAKernelThatRefusesAnOption started, the option that
// its kernel refuses.
const refusedOption = "BERTH_TEST_REFUSES"

func TestAKernelThatRefusesAnOptionThatIsOptionalKeepsNoListenerFromServing(t *testing.T) {
	if os.Getenv(refusedOption) != "" {
		withoutOption(t)
		return
	}
	for _, name := range []string{"SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_NODELAY", "SO_RCVBUF", "SO_SNDBUF"} {
		for _, errno := range []syscall.Errno{syscall.EOPNOTSUPP, syscall.ENOPROTOOPT} {
			t.Run(fmt.Sprint(name, " ", int(errno)), func(t *testing.T) {
				child := exec.Command(os.Args[0], "-test.run", "^TestAKernelThatRefusesAnOption", "-test.count=1") // itself
				child.Env = append(os.Environ(), fmt.Sprintf("%s=%s %d", refusedOption, name, errno))
				said, err := child.CombinedOutput()
				require.NoError(t, err, "%s", said)
			})
		}
	}
}

// The BSDs refuse a size that is over their limit. Neither transport may silently go on with other
// buffers than were asked for.
func TestASizeOfBuffersThatTheKernelRefusesIsOneSentenceAndNothingIsStarted(t *testing.T) {
	if os.Getenv(refusedOption) != "" {
		refuse(t, unix.SOL_SOCKET, unix.SO_RCVBUF, syscall.ENOBUFS)
		overServers(t, func(t *testing.T, network string, serve func(net.ListenConfig, Options) *Listener) {
			const sentence = "berth: the system refuses RecvBufferSize or SendBufferSize: setsockopt: no buffer space available"
			l := serve(net.ListenConfig{}, Options{SendBufferSize: 30_000})
			o := l.Options()
			o.RecvBufferSize, o.SendBufferSize = 20_000, 40_000
			require.EqualError(t, l.SetOptions(o), sentence)
			c := dialNamed(t, l.Addr())
			echoes(t, c)
			assert.Equal(t, 2*30_000, settings(t, serverEnd(t, c))["SO_SNDBUF"], "nothing has changed")
			w, before := newWorld(), descriptors()
			_, err := Listen(w.Root, where(t, network), of(newEcho()), o)
			require.EqualError(t, err, sentence)
			assert.Empty(t, w.actors())
			assert.Equal(t, before, descriptors())
		})
		return
	}
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.count=1") // itself
	child.Env = append(os.Environ(), refusedOption+"=it")
	said, err := child.CombinedOutput()
	require.NoError(t, err, "%s", said)
}

func withoutOption(t *testing.T) {
	var name string
	var errno syscall.Errno
	_, err := fmt.Sscan(os.Getenv(refusedOption), &name, &errno)
	require.NoError(t, err)
	refuse(t, known[name].level, known[name].name, errno)
	overServers(t, func(t *testing.T, network string, serve func(net.ListenConfig, Options) *Listener) {
		l := serve(net.ListenConfig{}, Options{RecvBufferSize: 20_000, SendBufferSize: 30_000})
		c := dialNamed(t, l.Addr())
		echoes(t, c)
		has := settings(t, serverEnd(t, c))
		for option, want := range map[string]int{"TCP_NODELAY": 1, "SO_RCVBUF": 2 * 20_000, "SO_SNDBUF": 2 * 30_000} {
			if option != name && (network == "tcp" || known[option].level == unix.SOL_SOCKET) {
				assert.Equal(t, want, has[option], option)
			}
		}
		o := l.Options()
		o.KeepAlive, o.DisableNoDelay, o.RecvBufferSize, o.SendBufferSize = time.Hour, true, 40_000, 50_000
		require.NoError(t, l.SetOptions(o))
		echoes(t, dial(t, l))
	})
}

// refuse makes every later setsockopt of one option fail in this process.
func refuse(t *testing.T, level, name int, errno syscall.Errno) {
	t.Helper()
	// struct seccomp_data: nr, arch, instruction_pointer, args[6] of 8 bytes; the machine is
	// little-endian.
	const number, argument = 0, 16
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(value int, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: uint32(value), Jf: skip}
	}
	answer := func(value uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: value} }
	program := []unix.SockFilter{
		load(number), unless(unix.SYS_SETSOCKOPT, 5),
		load(argument + 8), unless(level, 3),
		load(argument + 16), unless(name, 1),
		answer(unix.SECCOMP_RET_ERRNO | uint32(errno)),
		answer(unix.SECCOMP_RET_ALLOW),
	}
	filter := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	require.NoError(t, unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
	_, _, problem := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&filter)))
	runtime.KeepAlive(program)
	if problem != 0 {
		t.Skip("no filter for system calls here: ", problem)
	}
}
