package listener

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth/protocol"
)

// known are the options that are read back from an accepted socket.
var known = map[string]struct{ level, name int }{
	"SO_KEEPALIVE":     {unix.SOL_SOCKET, unix.SO_KEEPALIVE},
	"SO_RCVBUF":        {unix.SOL_SOCKET, unix.SO_RCVBUF},
	"SO_SNDBUF":        {unix.SOL_SOCKET, unix.SO_SNDBUF},
	"SO_LINGER":        {unix.SOL_SOCKET, unix.SO_LINGER},
	"SO_PRIORITY":      {unix.SOL_SOCKET, unix.SO_PRIORITY},
	"TCP_NODELAY":      {unix.IPPROTO_TCP, unix.TCP_NODELAY},
	"TCP_KEEPIDLE":     {unix.IPPROTO_TCP, unix.TCP_KEEPIDLE},
	"TCP_KEEPINTVL":    {unix.IPPROTO_TCP, unix.TCP_KEEPINTVL},
	"TCP_KEEPCNT":      {unix.IPPROTO_TCP, unix.TCP_KEEPCNT},
	"TCP_USER_TIMEOUT": {unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT},
	"IP_TOS":           {unix.IPPROTO_IP, unix.IP_TOS},
}

// settings reads the known options, and the flags of the descriptor. It leaves out an option that
// the socket does not know.
func settings(t *testing.T, fd int) map[string]int {
	t.Helper()
	all := map[string]int{}
	for name, one := range known {
		if value, err := unix.GetsockoptInt(fd, one.level, one.name); err == nil {
			all[name] = value
		}
	}
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	require.NoError(t, err)
	all["O_NONBLOCK"] = flags & unix.O_NONBLOCK
	flags, err = unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	require.NoError(t, err)
	all["FD_CLOEXEC"] = flags & unix.FD_CLOEXEC
	return all
}

// sets returns a Control that sets options on the listening socket, as far as it knows them.
func sets(values map[string]int) control {
	return func(_, _ string, socket syscall.RawConn) error {
		return socket.Control(func(fd uintptr) {
			for name, value := range values {
				_ = unix.SetsockoptInt(int(fd), known[name].level, known[name].name, value)
			}
		})
	}
}

var (
	clients atomic.Int64
	aMinute = net.ListenConfig{KeepAlive: time.Minute}
	three   = net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: time.Minute, Interval: 7 * time.Second, Count: 3,
	}}
	some = net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: -1, Interval: 7 * time.Second, Count: -1}}
	own  = sets(map[string]int{
		"SO_KEEPALIVE": 1, "TCP_KEEPIDLE": 33, "TCP_KEEPINTVL": 44, "TCP_KEEPCNT": 4, "TCP_NODELAY": 0,
		"SO_RCVBUF": 40_000, "SO_SNDBUF": 50_000, "SO_PRIORITY": 3, "TCP_USER_TIMEOUT": 12_345, "IP_TOS": 16,
	})
)

func with(config net.ListenConfig, c control) net.ListenConfig {
	config.Control = c
	return config
}

func multipath(config net.ListenConfig) net.ListenConfig {
	config.SetMultipathTCP(true)
	return config
}

// dialNamed connects a client. The server's end knows its name or port, by which serverEnd finds
// that end.
func dialNamed(t *testing.T, addr net.Addr) net.Conn {
	t.Helper()
	dialer := net.Dialer{}
	if addr.Network() == "unix" {
		dialer.LocalAddr = &net.UnixAddr{Name: fmt.Sprintf("@berth-test-%d-%d", unix.Getpid(), clients.Add(1)), Net: "unix"}
	}
	c, err := dialer.Dial(addr.Network(), addr.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// where is a network that a test listens on, and an address of it.
func where(t *testing.T, network string) string { return someAddress(t, Options{Network: network}) }

// asPackageNet accepts one connection with package net alone, lets change do to it what a user of
// package net would, and returns the settings that the socket then has.
func asPackageNet(t *testing.T, network string, config net.ListenConfig, change func(*net.TCPConn), buffers [2]int) map[string]int {
	t.Helper()
	l, err := config.Listen(context.Background(), network, where(t, network))
	require.NoError(t, err)
	defer l.Close()
	client := dialNamed(t, l.Addr())
	defer client.Close()
	c, err := l.Accept()
	require.NoError(t, err)
	defer c.Close()
	if tcp, ok := c.(*net.TCPConn); ok && change != nil {
		change(tcp)
	}
	both := c.(interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	})
	if buffers[0] > 0 {
		require.NoError(t, both.SetReadBuffer(buffers[0]))
	}
	if buffers[1] > 0 {
		require.NoError(t, both.SetWriteBuffer(buffers[1]))
	}
	return settings(t, serverEnd(t, client))
}

func TestAnAcceptedSocketHasTheOptionsThatPackageNetWouldGiveIt(t *testing.T) {
	minute := net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: time.Minute}
	for name, one := range map[string]struct {
		config  net.ListenConfig
		options Options
		change  func(*net.TCPConn) // what the options ask for, as a user of package net would
	}{
		"nothing said":         {},
		"a time":               {config: aMinute},
		"no probes":            {config: net.ListenConfig{KeepAlive: -1}},
		"three probes":         {config: three},
		"multipath":            {config: multipath(three)},
		"some of it":           {config: some},
		"Control, nothing":     {config: with(net.ListenConfig{}, own)},
		"Control, no probes":   {config: with(net.ListenConfig{KeepAlive: -1}, own)},
		"Control, some of it":  {config: with(some, own)},
		"Control, three":       {config: with(three, own)},
		"KeepAlive":            {aMinute, Options{KeepAlive: time.Minute}, func(c *net.TCPConn) { _ = c.SetKeepAliveConfig(minute) }},
		"KeepAlive over three": {three, Options{KeepAlive: time.Minute}, func(c *net.TCPConn) { _ = c.SetKeepAliveConfig(minute) }},
		"KeepAlive off":        {net.ListenConfig{KeepAlive: -1}, Options{KeepAlive: -1}, nil},
		"off over Control": {with(net.ListenConfig{KeepAlive: -1}, own), Options{KeepAlive: -1}, func(c *net.TCPConn) {
			_ = c.SetKeepAlive(false)
		}},
		"delay":           {net.ListenConfig{}, Options{DisableNoDelay: true}, func(c *net.TCPConn) { _ = c.SetNoDelay(false) }},
		"buffers":         {net.ListenConfig{}, Options{RecvBufferSize: 20_000, SendBufferSize: 30_000}, nil},
		"a receive's":     {net.ListenConfig{}, Options{RecvBufferSize: 20_000}, nil},
		"buffers, anyway": {with(three, own), Options{RecvBufferSize: 20_000, SendBufferSize: 30_000}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			overServers(t, func(t *testing.T, network string, serve func(net.ListenConfig, Options) *Listener) {
				want := asPackageNet(t, network, one.config, one.change, [2]int{one.options.RecvBufferSize, one.options.SendBufferSize})
				l := serve(one.config, one.options)
				check := func() {
					t.Helper()
					c := dialNamed(t, l.Addr())
					echoes(t, c)
					got := settings(t, serverEnd(t, c))
					if one.options.KeepAlive < 0 { // then the times do not matter
						for _, name := range []string{"TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"} {
							delete(got, name)
							delete(want, name)
						}
					}
					assert.Equal(t, want, got)
				}
				check()
				given := l.Options()
				other := given
				other.KeepAlive, other.DisableNoDelay = time.Hour, !given.DisableNoDelay
				require.NoError(t, l.SetOptions(other))
				echoes(t, dial(t, l))
				require.NoError(t, l.SetOptions(given))
				check()
			})
		})
	}
}

// dialledAsPackageNet is asPackageNet for a connection that is dialled.
func dialledAsPackageNet(t *testing.T, there net.Listener, dialer net.Dialer, options Options, change func(*net.TCPConn)) map[string]int {
	t.Helper()
	c, err := dialer.Dial("tcp", there.Addr().String())
	require.NoError(t, err)
	defer c.Close()
	accepted, err := there.Accept()
	require.NoError(t, err)
	defer accepted.Close()
	tcp := c.(*net.TCPConn)
	if change != nil {
		change(tcp)
	}
	if options.RecvBufferSize > 0 {
		require.NoError(t, tcp.SetReadBuffer(options.RecvBufferSize))
		require.NoError(t, tcp.SetWriteBuffer(options.SendBufferSize))
	}
	return settings(t, serverEnd(t, accepted))
}

func TestADialledSocketHasTheOptionsThatPackageNetWouldGiveIt(t *testing.T) {
	minute := net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: time.Minute}
	probing := sets(map[string]int{"SO_KEEPALIVE": 1, "TCP_KEEPIDLE": 33, "TCP_KEEPINTVL": 44, "TCP_KEEPCNT": 4, "SO_SNDBUF": 50_000})
	for name, one := range map[string]struct {
		dialer  net.Dialer
		options Options
		change  func(*net.TCPConn)
	}{
		"nothing said":         {},
		"a time":               {dialer: net.Dialer{KeepAlive: time.Minute}},
		"no probes":            {dialer: net.Dialer{KeepAlive: -1}},
		"three probes":         {dialer: net.Dialer{KeepAliveConfig: three.KeepAliveConfig}},
		"Control":              {dialer: net.Dialer{KeepAlive: -1, Control: probing}},
		"KeepAlive over three": {net.Dialer{KeepAliveConfig: three.KeepAliveConfig}, Options{KeepAlive: time.Minute}, func(c *net.TCPConn) { _ = c.SetKeepAliveConfig(minute) }},
		"KeepAlive off":        {net.Dialer{}, Options{KeepAlive: -1}, func(c *net.TCPConn) { _ = c.SetKeepAliveConfig(net.KeepAliveConfig{}) }},
		"delay":                {net.Dialer{}, Options{DisableNoDelay: true}, func(c *net.TCPConn) { _ = c.SetNoDelay(false) }},
		"buffers":              {net.Dialer{}, Options{RecvBufferSize: 20_000, SendBufferSize: 30_000}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			dialsWith(t, one.options, func(t *testing.T, dial dialFunc) {
				there, err := net.Listen("tcp", "127.0.0.1:0")
				require.NoError(t, err)
				defer there.Close()
				want := dialledAsPackageNet(t, there, one.dialer, one.options, one.change)
				_, err = dial(context.Background(), there.Addr().String(), newAsker(), DialOptions{Dialer: one.dialer})
				require.NoError(t, err)
				accepted, err := there.Accept()
				require.NoError(t, err)
				defer accepted.Close()
				assert.Equal(t, want, settings(t, serverEnd(t, accepted)))
			})
		})
	}
}

// overServers runs a test with each transport, over TCP and unix sockets, with Listen and with
// Serve.
func overServers(t *testing.T, test func(t *testing.T, network string, serve func(net.ListenConfig, Options) *Listener)) {
	for _, network := range []string{"tcp", "unix"} {
		for _, served := range []bool{false, true} {
			overEach(t, func(t *testing.T, each Options) {
				t.Run(fmt.Sprintf("%s served %v", network, served), func(t *testing.T) {
					test(t, network, func(config net.ListenConfig, o Options) *Listener {
						return startWith(t, network, served, config, each.Transport, o)
					})
				})
			})
		}
	}
}

func startWith(t *testing.T, network string, served bool, config net.ListenConfig, transport Transport, o Options) *Listener {
	t.Helper()
	w := newWorld()
	o.Network, o.Transport, o.Acceptors = network, transport, 2
	var l *Listener
	var err error
	if served {
		inner, listenErr := config.Listen(context.Background(), network, where(t, network))
		require.NoError(t, listenErr)
		l, err = Serve(w.Root, inner, of(newEcho()), o)
	} else {
		o.ListenConfig = config
		l, err = Listen(w.Root, where(t, network), of(newEcho()), o)
	}
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = l.Close()
		<-l.Done()
		assert.Empty(t, w.actors())
	})
	return l
}

// A client that waits in the backlog has a socket from before the change. It is accepted after the
// change, so the new options apply to it too.
func TestClientsThatWaitWhileOptionsAreReplacedGetTheNewOnes(t *testing.T) {
	overServers(t, func(t *testing.T, network string, serve func(net.ListenConfig, Options) *Listener) {
		l := serve(net.ListenConfig{}, Options{})
		echoes(t, dial(t, l))
		l.Suspend()
		late := dialNamed(t, l.Addr()) // an accept that is under way may still take this one, as it is
		first, second := dialNamed(t, l.Addr()), dialNamed(t, l.Addr())
		require.NoError(t, l.SetOptions(Options{
			Network: network, ListenConfig: l.Options().ListenConfig, Transport: l.Options().Transport, Acceptors: 2,
			KeepAlive: time.Hour, DisableNoDelay: true, RecvBufferSize: 20_000, SendBufferSize: 30_000,
		}))
		require.NoError(t, l.Resume())
		echoes(t, late)
		for _, c := range []net.Conn{first, second, dialNamed(t, l.Addr())} {
			echoes(t, c)
			has := settings(t, serverEnd(t, c))
			assert.Equal(t, 2*20_000, has["SO_RCVBUF"])
			assert.Equal(t, 2*30_000, has["SO_SNDBUF"])
			if network == "tcp" {
				assert.Equal(t, 0, has["TCP_NODELAY"])
				assert.Equal(t, 3600, has["TCP_KEEPIDLE"])
				assert.Equal(t, 3600, has["TCP_KEEPINTVL"])
				assert.Equal(t, 9, has["TCP_KEEPCNT"])
			}
		}
	})
}

// The addresses are compared byte by byte, not as text: an IPv4 client of an IPv6 socket has 16
// bytes.
func TestAConnectionHasTheAddressesThatPackageNetWouldGiveItAlsoAfterItsEnd(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		for _, one := range []struct{ network, listen, dial string }{
			{"tcp", "127.0.0.1:0", ""},
			{"tcp4", "0.0.0.0:0", "127.0.0.1"},
			{"tcp4", "0.0.0.0:0", "127.0.0.2"},
			{"tcp", ":0", "127.0.0.3"},
			{"tcp", ":0", "::1"},
			{"unix", "", ""},
			{"unix", "", "@a name"},
			{"unix", "", "a path"},
		} {
			t.Run(one.network+one.listen+one.dial, func(t *testing.T) {
				connect := func(addr net.Addr) net.Conn {
					dialer, to := net.Dialer{}, addr.String()
					switch {
					case one.network != "unix" && one.dial != "":
						to = net.JoinHostPort(one.dial, fmt.Sprint(addr.(*net.TCPAddr).Port))
					case one.dial == "a path":
						dialer.LocalAddr = &net.UnixAddr{Name: filepath.Join(t.TempDir(), "client"), Net: "unix"}
					case one.dial != "":
						dialer.LocalAddr = &net.UnixAddr{Name: fmt.Sprintf("%s%d", one.dial, clients.Add(1)), Net: "unix"}
					}
					c, err := dialer.Dial(addr.Network(), to)
					require.NoError(t, err)
					t.Cleanup(func() { _ = c.Close() })
					return c
				}
				at := func() string {
					if one.network == "unix" {
						return where(t, "unix")
					}
					return one.listen
				}
				reference, err := net.Listen(one.network, at())
				require.NoError(t, err)
				defer reference.Close()
				client := connect(reference.Addr())
				accepted, err := reference.Accept()
				require.NoError(t, err)
				defer accepted.Close()
				wantLocal, wantRemote := like(client, accepted)

				handler, w := newEcho(), newWorld()
				o.Network = one.network
				l, err := Listen(w.Root, at(), of(handler), o)
				require.NoError(t, err)
				defer l.Close()
				check := func(c net.Conn, s protocol.Socket) {
					t.Helper()
					local, remote := like(c, s)
					assert.Equal(t, wantLocal, local)
					assert.Equal(t, wantRemote, remote)
				}
				c := connect(l.Addr())
				socket := receive(t, handler.accepted)
				check(c, socket)
				require.NoError(t, c.Close())
				receive(t, handler.closed)
				check(c, socket)
			})
		}
	})
}

// like returns the addresses of the server's end without the parts that differ from connection to
// connection: the client's ports and names.
func like(client net.Conn, server interface {
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
},
) (local, remote net.Addr) {
	same := func(addr, of net.Addr) net.Addr {
		switch addr := addr.(type) {
		case *net.TCPAddr:
			copied := *addr
			if copied.Port == of.(*net.TCPAddr).Port {
				copied.Port = 0
			}
			return &copied
		case *net.UnixAddr:
			copied := *addr
			if copied.Name != "" && copied.Name == of.(*net.UnixAddr).Name {
				copied.Name = "its own"
			}
			return &copied
		}
		return addr
	}
	return same(server.LocalAddr(), client.RemoteAddr()), same(server.RemoteAddr(), client.LocalAddr())
}

// The connections of a tls.Listener have no methods for socket options; what lies below them does.
func TestOptionsReachTheSocketBelowAConnectionThatTellsOfIt(t *testing.T) {
	inner, err := net.Listen("tcp", anyPort)
	require.NoError(t, err)
	w := newWorld()
	server, _ := certified(t)
	l, err := Serve(w.Root, tls.NewListener(inner, server), of(newEcho()), Options{
		KeepAlive: time.Hour, DisableNoDelay: true, RecvBufferSize: 20_000, SendBufferSize: 30_000,
	})
	require.NoError(t, err)
	defer l.Close()
	c := dialNamed(t, l.Addr())
	eventually(t, func() bool { return l.Info().Open == 1 })
	has := settings(t, serverEnd(t, c))
	assert.Equal(t, 0, has["TCP_NODELAY"])
	assert.Equal(t, 3600, has["TCP_KEEPIDLE"])
	assert.Equal(t, 2*20_000, has["SO_RCVBUF"])
	assert.Equal(t, 2*30_000, has["SO_SNDBUF"])
}
