package sessionnats

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// NodeOptions of a Node. The zero value is a node alone, which keeps nothing after its end.
type NodeOptions struct {
	// Name tells the nodes of a cluster apart. A node keeps its name for ever. Default "node".
	Name string
	// Dir is the directory of the node's data. Default: a temporary one, removed with the node.
	Dir string
	// Addr is where clients connect. Default 127.0.0.1:0.
	Addr string
	// Cluster is where the other nodes connect, and Peers are these addresses of all nodes, this
	// one among them or not. Without Peers the node is alone.
	Cluster string
	Peers   []string
	// Secret is asked of clients and of other nodes, if it is not empty. It goes over the network
	// as it is: use TLS where others can listen.
	Secret string
	// TLS, if not nil, encrypts what clients and other nodes send. A node is a server and a client
	// to the others. With ClientAuth both show their certificates.
	TLS *tls.Config
	// SyncAlways writes every change to the disk before it is confirmed. It is slow, and needed
	// where a quorum of nodes may lose power at the same moment.
	SyncAlways bool
	// MaxBytes is the most that the node keeps. Default 1 GiB. A node that has as much refuses
	// every change (ErrFull) and leads no more: let it be well above what the sessions take.
	MaxBytes int64
	// Log gets what the server of NATS reports. Default: nothing is logged.
	Log *slog.Logger
}

// maxPayload is the most bytes of one message at a node of ours. It is the size above which the
// server of NATS warns.
const maxPayload = server.MAX_PAYLOAD_MAX_SIZE

// Node is a node of a store: a server of NATS in this process. Its methods may be called by any
// goroutine.
type Node struct {
	server    *server.Server
	options   NodeOptions
	temporary string // a directory of ours; empty: none
}

// StartNode starts a node. It does not wait for the other nodes. The error is of the options, of
// the directory or of the network, or ctx's; then nothing is left.
func StartNode(ctx context.Context, options NodeOptions) (_ *Node, err error) {
	n := &Node{options: options}
	if n.options.Name == "" {
		n.options.Name = "node"
	}
	if n.options.Dir == "" {
		if n.options.Dir, err = os.MkdirTemp("", "sessionnats"); err != nil {
			return nil, err
		}
		n.temporary = n.options.Dir
	}
	settings, err := n.options.settings()
	if err == nil {
		err = n.start(ctx, settings)
	}
	if err != nil {
		n.Close()
		return nil, fmt.Errorf("sessionnats: node %s: %w", n.options.Name, err)
	}
	return n, nil
}

func (n *Node) start(ctx context.Context, settings *server.Options) (err error) {
	if n.server, err = server.NewServer(settings); err != nil {
		return err
	}
	log := &logger{to: n.options.Log}
	n.server.SetLoggerV2(log, false, false, false)
	n.server.Start()
	for !n.server.ReadyForConnections(10 * time.Millisecond) {
		if failed := log.fatal.Load(); failed != nil {
			return errors.New(*failed)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	n.options.Addr = actual(n.options.Addr, n.server.Addr())
	if len(n.options.Peers) > 0 {
		n.options.Cluster = actual(n.options.Cluster, n.server.ClusterAddr())
	}
	return nil
}

// actual is an address whose port, if it was any, is the one that the server has got.
func actual(addr string, got net.Addr) string {
	host, port, err := split(addr)
	tcp, isTCP := got.(*net.TCPAddr)
	if err != nil || !isTCP || tcp == nil || port != server.RANDOM_PORT {
		return addr
	}
	return net.JoinHostPort(host, strconv.Itoa(tcp.Port))
}

// settings are what the server calls its options.
func (o NodeOptions) settings() (*server.Options, error) {
	host, port, err := split(o.Addr)
	if err != nil {
		return nil, err
	}
	settings := &server.Options{
		ServerName: o.Name, Host: host, Port: port, NoSigs: true, DisableShortFirstPing: true,
		JetStream: true, StoreDir: filepath.Clean(o.Dir), JetStreamMaxStore: o.MaxBytes, JetStreamMaxMemory: -1, SyncAlways: o.SyncAlways,
		Authorization: o.Secret, TLSConfig: o.TLS, MaxPayload: maxPayload,
	}
	if o.TLS != nil {
		settings.TLSTimeout, settings.TLSVerify = 5, o.TLS.ClientAuth == tls.RequireAndVerifyClientCert
	}
	if o.MaxBytes <= 0 {
		settings.JetStreamMaxStore = 1 << 30
	}
	if len(o.Peers) == 0 {
		return settings, nil
	}
	settings.Cluster.Name, settings.Cluster.TLSConfig, settings.Cluster.TLSTimeout = "berth", o.TLS, settings.TLSTimeout
	if settings.Cluster.Host, settings.Cluster.Port, err = split(o.Cluster); err != nil {
		return nil, err
	}
	var user *url.Userinfo
	if o.Secret != "" {
		user = url.UserPassword("node", o.Secret)
		settings.Cluster.Username, settings.Cluster.Password, settings.Cluster.AuthTimeout = "node", o.Secret, 5
	}
	for _, peer := range o.Peers {
		if _, _, err := net.SplitHostPort(peer); err != nil {
			return nil, fmt.Errorf("peer %q: %w", peer, err)
		}
		settings.Routes = append(settings.Routes, &url.URL{Scheme: "nats", User: user, Host: peer})
	}
	return settings, nil
}

// split reads an address. Port 0, or no address, is any port.
func split(addr string) (host string, port int, err error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	host, text, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, err
	}
	number, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("address %q: the port is no number", addr)
	}
	if number == 0 {
		return host, server.RANDOM_PORT, nil
	}
	return host, int(number), nil
}

// URL is what clients connect to.
func (n *Node) URL() string { return n.server.ClientURL() }

// Name is the node's name.
func (n *Node) Name() string { return n.options.Name }

// connect returns what a client in this process needs.
func (n *Node) connect() []nats.Option {
	options := []nats.Option{nats.InProcessServer(n.server)}
	if n.options.Secret != "" {
		options = append(options, nats.Token(n.options.Secret))
	}
	if n.options.TLS != nil {
		options = append(options, nats.Secure(n.options.TLS))
	}
	return options
}

// Close ends the node and waits for its end.
func (n *Node) Close() {
	if n.server != nil {
		n.server.Shutdown()
		n.server.WaitForShutdown()
	}
	if n.temporary != "" {
		_ = os.RemoveAll(n.temporary)
	}
}

// StartNodes starts n nodes in this process that are a cluster on loopback: for tests, and for
// programs that show one. Each node has a directory below dir; empty: temporary ones.
func StartNodes(ctx context.Context, n int, dir string) ([]*Node, error) {
	if n <= 0 {
		return nil, fmt.Errorf("sessionnats: %d nodes are no cluster", n)
	}
	addrs, err := FreeAddrs(2 * n)
	if err != nil {
		return nil, err
	}
	var nodes []*Node
	for i := range n {
		options := NodeOptions{Name: fmt.Sprintf("node%d", i+1), Addr: addrs[i], Cluster: addrs[n+i], Peers: addrs[n:]}
		if dir != "" {
			options.Dir = filepath.Join(dir, options.Name)
		}
		if n == 1 {
			options.Peers = nil
		}
		node, err := StartNode(ctx, options)
		if err != nil {
			for _, node := range nodes {
				node.Close()
			}
			return nil, err
		}
		nodes = append(nodes, node)
	}
	return nodes, nil
}

// Restart starts a node again after its Close, with its options, addresses and data; ports that
// were any are those that it has had. A node with a temporary directory cannot: without its data
// it could confirm the opposite of what it has confirmed before.
func (n *Node) Restart(ctx context.Context) (*Node, error) {
	if n.temporary != "" {
		return nil, fmt.Errorf("sessionnats: node %s has lost its data, which was in a temporary directory", n.options.Name)
	}
	return StartNode(ctx, n.options)
}

// Ports for FreeAddrs: below those that the kernel gives to sockets that ask for any.
const (
	firstPort = 10_000
	ports     = 20_000
)

// nextPort is counted on, so that two callers in this process get different ports.
var nextPort atomic.Uint32

func init() { nextPort.Store(rand.Uint32N(ports)) }

// FreeAddrs returns addresses on loopback whose ports are free: for nodes that must know each
// other's addresses before they start. No two calls of one process return the same. A process that
// names its ports itself may take them.
func FreeAddrs(n int) (addrs []string, err error) {
	if n < 0 {
		return nil, fmt.Errorf("sessionnats: %d free addresses are asked for", n)
	}
	if n == 0 {
		return nil, nil
	}
	for range 100 * n {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+int(nextPort.Add(1)%ports)))
		l, listenErr := net.Listen("tcp", addr)
		if listenErr != nil {
			err = listenErr
			continue
		}
		_ = l.Close()
		if addrs = append(addrs, addr); len(addrs) == n {
			return addrs, nil
		}
	}
	return nil, fmt.Errorf("sessionnats: no free ports: %w", err)
}

// logger hands on what the server reports. The server ends the process after Fatalf of its own
// logger; this one keeps the text.
type logger struct {
	to    *slog.Logger
	fatal atomic.Pointer[string]
}

func (l *logger) log(level slog.Level, format string, v ...any) {
	if l.to != nil {
		l.to.Log(context.Background(), level, fmt.Sprintf(format, v...))
	}
}

func (l *logger) Noticef(format string, v ...any) { l.log(slog.LevelInfo, format, v...) }
func (l *logger) Warnf(format string, v ...any)   { l.log(slog.LevelWarn, format, v...) }
func (l *logger) Errorf(format string, v ...any)  { l.log(slog.LevelError, format, v...) }
func (l *logger) Debugf(format string, v ...any)  { l.log(slog.LevelDebug, format, v...) }
func (l *logger) Tracef(format string, v ...any)  { l.log(slog.LevelDebug-1, format, v...) }

func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.fatal.CompareAndSwap(nil, &text)
	l.log(slog.LevelError, "%s", text)
}
