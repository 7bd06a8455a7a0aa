//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const meant = "LISTEN_PID=$$" // the shell puts in the number of the process itself

// sockets are a TCP and a unix one, listening, and their descriptors.
func sockets(t *testing.T) (listeners []net.Listener, files []*os.File) {
	one := listenOn(t, "tcp", anyPort).(*net.TCPListener)
	two := listenOn(t, "unix", filepath.Join(t.TempDir(), "s")).(*net.UnixListener)
	return []net.Listener{one, two}, []*os.File{fileOf(t, one), fileOf(t, two)}
}

func TestAProcessInheritsTheSocketsOfAServiceManager(t *testing.T) {
	listeners, files := sockets(t)
	tcp, local := listeners[0].Addr().String(), listeners[1].Addr().String()
	for _, test := range []struct {
		says        string
		environment []string
		want        []socketDescription
	}{
		{"with names", []string{meant, "LISTEN_FDS=2", "LISTEN_FDNAMES=web:admin", "LISTEN_PIDFDID=1"},
			[]socketDescription{{"web", "tcp", tcp, true}, {"admin", "unix", local, true}}},
		{"with one name for both", []string{meant, "LISTEN_FDS=2", "LISTEN_FDNAMES=web:web"},
			[]socketDescription{{"web", "tcp", tcp, true}, {"web", "unix", local, true}}},
		{"without names", []string{meant, "LISTEN_FDS=2"},
			[]socketDescription{{"unknown", "tcp", tcp, true}, {"unknown", "unix", local, true}}},
		{"meant for another process", []string{"LISTEN_PID=1", "LISTEN_FDS=2"}, nil},
		{"meant for no process", []string{"LISTEN_FDS=2"}, nil},
		{"handed over by another process", []string{"LISTEN_FDS=2", `BERTH_HANDOVER='{"parent":1}'`}, nil},
		{"none", []string{meant, "LISTEN_FDS=0", "LISTEN_FDNAMES="}, nil},
		{"not spoken of", nil, nil},
	} {
		t.Run(test.says, func(t *testing.T) {
			d := newSuccessor(t, describes).given(files, test.environment...)
			assert.Empty(t, d.Err)
			assert.ElementsMatch(t, test.want, d.Sockets)
			assert.Empty(t, d.Environment, "a child would take them for its own")
			assert.Zero(t, d.Again, "a second time there are none")
			if len(test.want) > 0 {
				assert.Subset(t, passed(), d.Passed, "a child would inherit them")
			}
		})
	}
}

func TestADescriptorThatIsNoListeningSocketIsRefusedAndAllAreClosed(t *testing.T) {
	listeners, good := sockets(t)
	listening := good[0]
	udp, err := net.ListenPacket("udp", anyPort)
	require.NoError(t, err)
	defer udp.Close()
	connected, err := net.Dial("tcp", listeners[0].Addr().String())
	require.NoError(t, err)
	defer connected.Close()
	regular, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	defer regular.Close()
	packets, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "p"), Net: "unixgram"})
	require.NoError(t, err)
	defer packets.Close()

	for _, test := range []struct {
		says, fds, names string
		files            []*os.File
		want             string
	}{
		{"a file", "2", "", []*os.File{listening, regular}, "berth: inherited descriptor 4 is no listening TCP or unix socket: getsockopt: socket operation on non-socket"},
		{"a UDP socket", "2", "", []*os.File{fileOf(t, udp.(*net.UDPConn)), listening}, "berth: inherited descriptor 3 is no listening TCP or unix socket: it is no stream socket"},
		{"a unix datagram socket", "1", "", []*os.File{fileOf(t, packets)}, "berth: inherited descriptor 3 is no listening TCP or unix socket: it is no stream socket"},
		{"a connection", "3", "", []*os.File{listening, good[1], fileOf(t, connected.(*net.TCPConn))}, "berth: inherited descriptor 5 is no listening TCP or unix socket: it does not listen"},
		{"fewer than there should be", "3", "", []*os.File{listening, nil, good[1]}, "berth: LISTEN_FDS is 3, but descriptor 4 was not inherited: "},
		{"more names than sockets", "1", "a:b", []*os.File{listening}, "berth: LISTEN_FDNAMES has 2 names for 1 descriptors"},
		{"fewer names than sockets", "2", "a", good, "berth: LISTEN_FDNAMES has 1 names for 2 descriptors"},
	} {
		t.Run(test.says, func(t *testing.T) {
			environment := []string{meant, "LISTEN_FDS=" + test.fds}
			if test.names != "" {
				environment = append(environment, "LISTEN_FDNAMES="+test.names)
			}
			d := newSuccessor(t, describes).given(test.files, environment...)
			assert.Contains(t, d.Err, test.want)
			assert.Empty(t, d.Sockets)
			assert.Empty(t, d.Environment)
			d.assertLetGo(t, test.files)
		})
	}
}

func TestVariablesThatMakeNoSenseAreRefused(t *testing.T) {
	_, files := sockets(t)
	for variable, want := range map[string]string{
		"LISTEN_FDS=two":          `berth: LISTEN_FDS is "two", which is no number of descriptors`,
		"LISTEN_FDS=-1":           `berth: LISTEN_FDS is "-1", which is no number of descriptors`,
		"LISTEN_FDS=2000000000":   `berth: LISTEN_FDS is "2000000000", which is no number of descriptors`,
		"BERTH_HANDOVER=nonsense": `berth: BERTH_HANDOVER is "nonsense": invalid character 'o' in literal null (expecting 'u')`,
	} {
		d := newSuccessor(t, describes).given(files, meant, variable)
		assert.Equal(t, want, d.Err)
		assert.Empty(t, d.Environment)
	}
}

func TestAListenerOfTheUsersHasNoOrigin(t *testing.T) {
	type odd struct {
		net.Listener
		noKeyOfAMap []int
	}
	assert.Equal(t, origin{name: "unknown"}, originOf(odd{noKeyOfAMap: []int{1}}))
}

func TestOnlyWhatWasInheritedIsClaimed(t *testing.T) {
	own, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer own.Close()
	assert.EqualError(t, closeOnExec(int(own.Fd())), "it is closed on exec")
	assert.ErrorIs(t, closeOnExec(1<<20), syscall.EBADF)
}
