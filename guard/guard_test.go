package guard_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/go-berth/berth/guard"
)

const patience = 20 * time.Second

// authority is one that signs for the loopback address.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	return &authority{certificate, key}
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// node returns the configurations of a node: as a server, and as a client.
func (a *authority) node(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, a.certificate, &key.PublicKey, a.key)
	require.NoError(t, err)
	certificates := []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}
	server = &tls.Config{
		Certificates: certificates, ClientCAs: a.pool(), ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
	return server, &tls.Config{Certificates: certificates, RootCAs: a.pool(), MinVersion: tls.VersionTLS13}
}

// node is a guarded node with one actor that may be a target, and one that may not.
type node struct {
	system       *actor.ActorSystem
	guard        *guard.Guard
	open, closed *actor.PID
	mail         chan any // of the first
	other        chan any // of the second
}

func newNode(t *testing.T, a *authority, options guard.Options) *node {
	t.Helper()
	serverTLS, clientTLS := a.node(t)
	return newNodeWith(t, options, serverTLS, clientTLS)
}

// newNodeWith is newNode with TLS configurations of the test's.
func newNodeWith(t *testing.T, options guard.Options, serverTLS, clientTLS *tls.Config) *node {
	t.Helper()
	n := &node{mail: make(chan any, 1000), other: make(chan any, 1000)}
	n.system = actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	options.System = n.system
	options.Types = []string{"google.protobuf.Duration"}
	if options.Target == nil {
		options.Target = func(id string) bool { return id == "open" }
	}
	var err error
	n.guard, err = guard.New(options)
	require.NoError(t, err)
	n.start(t, serverTLS, clientTLS)
	spawn := func(name string, mail chan any) *actor.PID {
		pid, err := n.system.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) { mail <- ctx.Message() }), name)
		require.NoError(t, err)
		require.IsType(t, &actor.Started{}, <-mail)
		return pid
	}
	n.open, n.closed = spawn("open", n.mail), spawn("closed", n.other)
	return n
}

// start gives the node its endpoint.
func (n *node) start(t *testing.T, serverTLS, clientTLS *tls.Config) {
	t.Helper()
	server, err := n.guard.ServerOptions(serverTLS)
	require.NoError(t, err)
	client, err := guard.DialOptions(clientTLS)
	require.NoError(t, err)
	r := remote.NewRemote(n.system, remote.Configure("127.0.0.1", 0, remote.WithServerOptions(server...), remote.WithDialOptions(client...)))
	r.Start()
	t.Cleanup(func() { r.Shutdown(false) })
}

// dial makes a raw connection to the endpoint.
func (n *node) dial(t *testing.T, config *tls.Config) remote.RemotingClient {
	t.Helper()
	conn, err := grpc.Dial(n.system.Address(), grpc.WithTransportCredentials(credentials.NewTLS(config)))
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return remote.NewRemotingClient(conn)
}

func stream(t *testing.T, client remote.RemotingClient) remote.Remoting_ReceiveClient {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	s, err := client.Receive(ctx)
	require.NoError(t, err)
	return s
}

// batch is a frame of one message.
func batch(t *testing.T, n *node, target string, message proto.Message) *remote.MessageBatch {
	t.Helper()
	return batchTo(t, actor.NewPID(n.system.Address(), target), message)
}

func batchTo(t *testing.T, target *actor.PID, message proto.Message) *remote.MessageBatch {
	t.Helper()
	data, err := proto.Marshal(message)
	require.NoError(t, err)
	return &remote.MessageBatch{
		TypeNames: []string{string(message.ProtoReflect().Descriptor().FullName())}, Targets: []*actor.PID{target},
		Envelopes: []*remote.MessageEnvelope{{MessageData: data}},
	}
}

func frame(b *remote.MessageBatch) *remote.RemoteMessage {
	return &remote.RemoteMessage{MessageType: &remote.RemoteMessage_MessageBatch{MessageBatch: b}}
}

func receive(t *testing.T, mail chan any) any {
	t.Helper()
	select {
	case m := <-mail:
		return m
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// forged is a frame that the guard refuses, and why.
type forged struct {
	name   string
	reason guard.Reason
	frame  *remote.RemoteMessage
}

// forgeries are frames for the node of an address. Its actor "open" may get a Duration.
func forgeries(t *testing.T, address string) []forged {
	t.Helper()
	open, closed := actor.NewPID(address, "open"), actor.NewPID(address, "closed")
	good := &durationpb.Duration{Seconds: 1}
	changed := func(change func(*remote.MessageBatch)) *remote.RemoteMessage {
		b := batchTo(t, actor.NewPID(address, "open"), good)
		change(b)
		return frame(b)
	}
	return []forged{
		{"a type that is not known", guard.UnknownType, changed(func(b *remote.MessageBatch) { b.TypeNames[0] = "no.such.Type" })},
		{"no type", guard.UnknownType, changed(func(b *remote.MessageBatch) { b.TypeNames[0] = "" })},
		{"an enum as type", guard.UnknownType, changed(func(b *remote.MessageBatch) { b.TypeNames[0] = "actor.TerminatedReason" })},
		{"a type that is not allowed", guard.ForbiddenType, frame(batchTo(t, open, wrapperspb.String("x")))},
		{"an activation", guard.ForbiddenType, frame(batchTo(t, open, &remote.ActorPidRequest{Kind: "x"}))},
		{"a type index", guard.BadIndex, changed(func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = 1 })},
		{"a negative type index", guard.BadIndex, changed(func(b *remote.MessageBatch) { b.Envelopes[0].TypeId = -1 })},
		{"a target index", guard.BadIndex, changed(func(b *remote.MessageBatch) { b.Envelopes[0].Target = 1 })},
		{"a negative target index", guard.BadIndex, changed(func(b *remote.MessageBatch) { b.Envelopes[0].Target = -1 << 31 })},
		{"no targets", guard.BadIndex, changed(func(b *remote.MessageBatch) { b.Targets = nil })},
		{"a sender index", guard.BadIndex, changed(func(b *remote.MessageBatch) { b.Envelopes[0].Sender = 1 })},
		{"a negative sender index", guard.BadIndex, changed(func(b *remote.MessageBatch) { b.Envelopes[0].Sender = -1 })},
		{"a serializer", guard.BadSerializer, changed(func(b *remote.MessageBatch) { b.Envelopes[0].SerializerId = 7 })},
		{"a negative serializer", guard.BadSerializer, changed(func(b *remote.MessageBatch) { b.Envelopes[0].SerializerId = -1 })},
		{"JSON", guard.BadSerializer, changed(func(b *remote.MessageBatch) { b.Envelopes[0].SerializerId = 1 })},
		{"a Stop", guard.SystemMessage, frame(batchTo(t, open, &actor.Stop{}))},
		{"a PoisonPill", guard.SystemMessage, frame(batchTo(t, open, &actor.PoisonPill{}))},
		{"a Watch", guard.SystemMessage, frame(batchTo(t, open, &actor.Watch{Watcher: closed}))},
		{"a Terminated", guard.SystemMessage, frame(batchTo(t, open, &actor.Terminated{Who: closed}))},
		{"another target", guard.BadTarget, frame(batchTo(t, closed, good))},
		{"a target of another node", guard.BadTarget, changed(func(b *remote.MessageBatch) { b.Targets[0].Address = "127.0.0.1:1" })},
		{"a target of no node", guard.BadTarget, changed(func(b *remote.MessageBatch) { b.Targets[0].Address = "" })},
		{"no message", guard.BadFrame, &remote.RemoteMessage{}},
		{"a connect request of none", guard.BadFrame, &remote.RemoteMessage{
			MessageType: &remote.RemoteMessage_ConnectRequest{ConnectRequest: &remote.ConnectRequest{}},
		}},
	}
}

// Each frame that would end the process, or an actor, or reach what it must not: refused and
// counted. The message behind it arrives on the same stream.
func TestEveryForgedFrameIsRefusedAndTheProcessLives(t *testing.T) {
	a := newAuthority(t)
	n := newNode(t, a, guard.Options{})
	_, config := a.node(t)
	s := stream(t, n.dial(t, config))
	good := &durationpb.Duration{Seconds: 1}
	tried := 0
	for _, one := range forgeries(t, n.system.Address()) {
		before := n.guard.Count(one.reason)
		require.NoError(t, s.Send(one.frame), one.name)
		require.NoError(t, s.Send(frame(batch(t, n, "open", good))), one.name)
		assert.True(t, proto.Equal(good, receive(t, n.mail).(proto.Message)), one.name)
		assert.Equal(t, before+1, n.guard.Count(one.reason), one.name)
		tried++
	}
	assert.Empty(t, n.mail)
	assert.Empty(t, n.other)
	t.Logf("frames tried: %d, processes dead: 0", tried)
}

// Without the guard the same frames reach the endpoint, each that of another process: some end it.
func TestTheSameFramesWithoutTheGuard(t *testing.T) {
	var dead []string
	tried := forgeries(t, "127.0.0.1:1")
	for i, one := range tried {
		process := startUnguarded(t)
		if !process.survives(t, forgeries(t, process.address)[i].frame) {
			dead = append(dead, one.name)
		}
	}
	assert.Subset(t, dead, []string{"a type that is not known", "a type index", "a target index"})
	assert.NotContains(t, dead, "another target", "it is a message like others")
	t.Logf("frames tried without the guard: %d, processes dead: %d: %s", len(tried), len(dead), strings.Join(dead, ", "))
}

// unguarded is set in the environment of a process whose endpoint has no guard.
const unguarded = "BERTH_TEST_UNGUARDED"

func TestMain(m *testing.M) {
	if os.Getenv(unguarded) != "" {
		beUnguarded()
		return
	}
	os.Exit(m.Run())
}

// beUnguarded prints the address of its endpoint, then a line for each message that the actor
// "probe" gets, until the input is closed.
func beUnguarded() {
	system := actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	remote.NewRemote(system, remote.Configure("127.0.0.1", 0)).Start()
	for _, name := range []string{"open", "closed", "probe"} {
		_, err := system.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
			if _, is := ctx.Message().(*durationpb.Duration); is && name == "probe" {
				fmt.Println("alive")
			}
		}), name)
		if err != nil {
			panic(err)
		}
	}
	fmt.Println(system.Address())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// process is one without a guard. lines is closed when it has ended.
type process struct {
	address string
	lines   chan string
}

func startUnguarded(t *testing.T) *process {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), unguarded+"=yes")
	in, err := command.StdinPipe()
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	p := &process{lines: make(chan string)}
	end := make(chan struct{})
	go func() { // ends with the process
		defer close(p.lines)
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			select {
			case p.lines <- lines.Text():
			case <-end:
			}
		}
	}()
	t.Cleanup(func() {
		close(end)
		_ = in.Close()
		for range p.lines { // until the output has been read, as Wait asks for
		}
		_ = command.Wait() // a panic is an error
	})
	p.address = <-p.lines
	require.NotEmpty(t, p.address)
	return p
}

// survives sends a frame, and then another on the same stream to see whether the process lives. If
// the frame has ended the stream alone, a second stream shows it.
func (p *process) survives(t *testing.T, forged *remote.RemoteMessage) bool {
	t.Helper()
	probe := frame(batchTo(t, actor.NewPID(p.address, "probe"), &durationpb.Duration{Seconds: 1}))
	conn, err := grpc.Dial(p.address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	client := remote.NewRemotingClient(conn)
	send := func(frames ...*remote.RemoteMessage) (ended chan struct{}) {
		ended = make(chan struct{})
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		t.Cleanup(cancel)
		s, err := client.Receive(ctx)
		if err != nil {
			close(ended)
			return ended
		}
		for _, one := range frames {
			_ = s.Send(one) // its error is that of Recv
		}
		go func() { _, _ = s.Recv(); close(ended) }()
		return ended
	}
	ended := send(forged, probe)
	select {
	case _, alive := <-p.lines:
		return alive
	case <-ended: // the process, or the stream alone
	}
	send(probe)
	select {
	case _, alive := <-p.lines:
		return alive
	case <-time.After(patience):
		require.FailNow(t, "no answer, and no end")
		panic("unreachable")
	}
}

func TestTheOthersOfAFrameArrive(t *testing.T) {
	a := newAuthority(t)
	n := newNode(t, a, guard.Options{})
	_, config := a.node(t)
	b := batch(t, n, "open", &durationpb.Duration{Seconds: 1})
	bad := &remote.MessageEnvelope{TypeId: 5}
	b.Envelopes = append([]*remote.MessageEnvelope{bad}, b.Envelopes[0], bad, b.Envelopes[0])
	require.NoError(t, stream(t, n.dial(t, config)).Send(frame(b)))
	receive(t, n.mail)
	receive(t, n.mail)
	assert.EqualValues(t, 2, n.guard.Count(guard.BadIndex))
}

// Bytes that are no message of their type end the stream that brought them, and nothing else.
func TestGarbageInAnAllowedMessageEndsItsStream(t *testing.T) {
	a := newAuthority(t)
	n := newNode(t, a, guard.Options{})
	_, config := a.node(t)
	client := n.dial(t, config)
	b := batch(t, n, "open", &durationpb.Duration{Seconds: 1})
	b.Envelopes[0].MessageData = []byte{0xff, 0xff, 0xff}
	s := stream(t, client)
	require.NoError(t, s.Send(frame(b)))
	_, err := s.Recv()
	require.Error(t, err)
	require.NoError(t, stream(t, client).Send(frame(batch(t, n, "open", &durationpb.Duration{Seconds: 2}))))
	assert.EqualValues(t, 2, receive(t, n.mail).(*durationpb.Duration).Seconds)
}

func TestProceduresThatPanicAreRefused(t *testing.T) {
	a := newAuthority(t)
	n := newNode(t, a, guard.Options{})
	_, config := a.node(t)
	client := n.dial(t, config)
	_, err := client.ListProcesses(t.Context(), &remote.ListProcessesRequest{})
	assert.Equal(t, codes.PermissionDenied, status.Code(err), err)
	_, err = client.GetProcessDiagnostics(t.Context(), &remote.GetProcessDiagnosticsRequest{})
	assert.Equal(t, codes.PermissionDenied, status.Code(err), err)
	assert.EqualValues(t, 2, n.guard.Count(guard.BadCall))
}

func TestWithoutACertificateOfTheAuthorityNothingIsHeard(t *testing.T) {
	a, stranger := newAuthority(t), newAuthority(t)
	n := newNode(t, a, guard.Options{})
	_, other := stranger.node(t)
	other.RootCAs = a.pool()
	for name, config := range map[string]*tls.Config{
		"none":    {RootCAs: a.pool(), MinVersion: tls.VersionTLS13},
		"another": other,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		s, err := n.dial(t, config).Receive(ctx)
		if err == nil {
			_ = s.Send(frame(batch(t, n, "open", &durationpb.Duration{})))
			_, err = s.Recv()
		}
		cancel()
		assert.Equal(t, codes.Unavailable, status.Code(err), "%s: %v", name, err)
	}
	conn, err := net.Dial("tcp", n.system.Address())
	require.NoError(t, err)
	_, _ = io.WriteString(conn, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") // without TLS
	require.NoError(t, conn.SetDeadline(time.Now().Add(patience)))
	_, _ = io.Copy(io.Discard, conn) // until it is closed
	require.NoError(t, conn.Close())
	assert.Empty(t, n.mail)
}

// Two guarded nodes work together: a message, a watch, and the end that it tells.
func TestGuardedNodesWatchEachOther(t *testing.T) {
	a := newAuthority(t)
	n := newNode(t, a, guard.Options{Watches: true})
	far := newNode(t, a, guard.Options{Watches: true, Watcher: func(id string) bool { return id == "watcher" }})
	to := actor.NewPID(n.open.Address, n.open.Id)
	far.system.Root.Send(to, &durationpb.Duration{Seconds: 3})
	assert.EqualValues(t, 3, receive(t, n.mail).(*durationpb.Duration).Seconds)
	watcher := make(chan any, 10)
	_, err := far.system.Root.SpawnNamed(actor.PropsFromFunc(func(ctx actor.Context) {
		if _, ok := ctx.Message().(*actor.Started); ok {
			ctx.Watch(to)
			ctx.Send(to, &durationpb.Duration{Seconds: 4}) // behind the watch
			return
		}
		watcher <- ctx.Message()
	}), "watcher")
	require.NoError(t, err)
	assert.EqualValues(t, 4, receive(t, n.mail).(*durationpb.Duration).Seconds)
	n.system.Root.Stop(n.open)
	assert.Equal(t, "open", receive(t, watcher).(*actor.Terminated).Who.Id)
	for reason := guard.BadIndex; reason.String() != "unknown"; reason++ {
		assert.Zero(t, n.guard.Count(reason)+far.guard.Count(reason), reason)
	}
}

func TestRefusalsAreReported(t *testing.T) {
	reported := make(chan string, 10)
	a := newAuthority(t)
	n := newNode(t, a, guard.Options{Refused: func(reason guard.Reason, typeName, target string) {
		reported <- fmt.Sprintf("%s: %s to %s", reason, typeName, target)
	}})
	_, config := a.node(t)
	require.NoError(t, stream(t, n.dial(t, config)).Send(frame(batch(t, n, "closed", &actor.Stop{}))))
	select {
	case text := <-reported:
		assert.Equal(t, "system message: actor.Stop to closed", text)
	case <-time.After(patience):
		t.Error("no report")
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	server, client := newAuthority(t).node(t)
	system := newNode(t, newAuthority(t), guard.Options{}).system
	for _, options := range []guard.Options{
		{}, {System: system, Types: []string{"a.B"}}, {System: system, Target: guard.Connections},
		{Types: []string{"a.B"}, Target: guard.Connections},
		{System: system, Types: []string{"a.B"}, Target: guard.Connections, Watcher: guard.Connections},
	} {
		_, err := guard.New(options)
		assert.ErrorContains(t, err, "guard: Options ")
	}
	g, err := guard.New(guard.Options{System: system, Types: []string{"a.*"}, Target: guard.Connections})
	require.NoError(t, err)
	lax := server.Clone()
	lax.ClientAuth = tls.RequestClientCert
	anyone := server.Clone()
	anyone.ClientCAs = nil
	for _, config := range []*tls.Config{nil, lax, anyone} {
		_, err = g.ServerOptions(config)
		assert.ErrorContains(t, err, "guard: ")
	}
	blind := client.Clone()
	blind.InsecureSkipVerify = true
	for _, config := range []*tls.Config{nil, {}, blind} {
		_, err = guard.DialOptions(config)
		assert.ErrorContains(t, err, "guard: ")
	}
	assert.True(t, guard.Connections("listener$1/connections/$3"))
	assert.False(t, guard.Connections("listener$1"))
	assert.Equal(t, "unknown", guard.Reason(-1).String())
	assert.Zero(t, g.Count(99))
}
