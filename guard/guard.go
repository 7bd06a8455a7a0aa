// Package guard protects the endpoint of Proto.Actor's remote, for a node whose peers may be wrong
// or hostile. Without it every process that reaches the port may stop actors by name, and a frame
// with an unknown type, or with an index out of range, ends the process.
//
//	g, err := guard.New(guard.Options{
//		System: system, Types: []string{"berth.wire.*"}, Target: guard.Connections, Watches: true,
//	})
//	server, err := g.ServerOptions(serverTLS) // asks for the peer's certificate
//	client, err := guard.DialOptions(clientTLS)
//	config := remote.Configure(host, port,
//		remote.WithServerOptions(server...), remote.WithDialOptions(client...))
//
// Every message that is not allowed is taken out of its frame and counted; the others of the frame
// arrive. The two remote procedures that Proto.Actor does not implement are refused. A callback of
// the program that panics ends no process: the message that it was asked about is refused, a
// handshake fails.
//
// What it does not do: a peer that was let in may send any number of messages to the targets that
// are allowed, and names their senders itself: an answer goes wherever it says. With Watches it
// names the watchers in the same way, and may tell of the end of any actor of another node.
package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// Reason says why a message was refused.
type Reason int

// The reasons.
const (
	BadIndex      Reason = iota // an index of a type, a target or a sender is out of range
	UnknownType                 // no such type is registered in this process
	ForbiddenType               // Types does not name it
	SystemMessage               // it is for Proto.Actor itself: a Stop, a PoisonPill, a Watch without Watches
	BadSerializer               // not protobuf
	BadTarget                   // Target does not allow it
	BadFrame                    // the frame is none that the endpoint handles
	BadCall                     // a remote procedure that is not implemented
	Panic                       // the endpoint panicked, or ended its goroutine; the stream has ended
	BadWatch                    // a Watch, Unwatch or Terminated whose actor is missing, or is one of this node
	CallbackPanic               // Target, Watcher or Refused panicked
	reasons
)

var names = [reasons]string{
	"bad index", "unknown type", "forbidden type", "system message", "bad serializer", "bad target", "bad frame", "bad call", "panic",
	"bad watch", "panic of a callback",
}

// String returns the reason in words.
func (r Reason) String() string {
	if r >= 0 && r < reasons {
		return names[r]
	}
	return "unknown"
}

// Options of a Guard.
type Options struct {
	// System is the node's. A message for an actor of another node is refused: the endpoint would
	// hand it on.
	System *actor.ActorSystem
	// Types are the full protobuf names of messages that may come, "berth.wire.Write" for example.
	// A name that ends in ".*" allows a whole package.
	Types []string
	// Target reports whether messages may be sent to an actor. It is called by many goroutines. If
	// it panics, the message is refused with CallbackPanic.
	Target func(id string) bool
	// Watches lets Watch, Unwatch and Terminated through, which are system messages: actors of
	// other nodes may watch the targets, and the watchers here hear of the end of those that they
	// watch.
	Watches bool
	// Watcher reports whether an actor may be told of the end of an actor of another node. It is
	// called as Target is. A connection of Berth's watches an owner under its own id, and what it
	// is linked to under that id with "/links" behind it. Default: Target.
	Watcher func(id string) bool
	// Refused is called for each refusal, on the goroutine of the peer's stream. It must not block.
	// If it panics, that is counted as CallbackPanic, and the stream goes on. Default: none.
	Refused func(reason Reason, typeName, target string)
}

// Connections is a Target: the connections of Berth's listeners, and no other actor.
func Connections(id string) bool { return strings.Contains(id, "/connections/") }

// Guard checks what comes in. Its methods may be called by any goroutine.
type Guard struct {
	options Options
	counts  [reasons]atomic.Uint64
	logged  atomic.Bool // the first panic of a callback
}

// New returns a guard, or says what is wrong with the options.
func New(options Options) (*Guard, error) {
	switch {
	case options.System == nil:
		return nil, errors.New("guard: Options need the System")
	case len(options.Types) == 0:
		return nil, errors.New("guard: Options need Types")
	case options.Target == nil:
		return nil, errors.New("guard: Options need a Target")
	case options.Watcher != nil && !options.Watches:
		return nil, errors.New("guard: Options have a Watcher and no Watches")
	case options.Watcher == nil:
		options.Watcher = options.Target
	}
	return &Guard{options: options}, nil
}

// Count returns how many messages were refused for a reason.
func (g *Guard) Count(reason Reason) uint64 {
	if reason < 0 || reason >= reasons {
		return 0
	}
	return g.counts[reason].Load()
}

// ServerOptions are for remote.WithServerOptions. The configuration has a certificate, ClientCAs,
// and asks for the peer's certificate and verifies it. One that GetConfigForClient returns must do
// the same, or the handshake fails.
func (g *Guard) ServerOptions(config *tls.Config) ([]grpc.ServerOption, error) {
	if config == nil {
		return nil, errors.New("guard: a TLS configuration is needed")
	}
	if err := mutual(config); err != nil {
		return nil, err
	}
	return append(g.interceptors(), grpc.Creds(newHandshakes(config))), nil
}

// mutual refuses the configuration of a server that lets a peer in without a verified certificate.
func mutual(config *tls.Config) error {
	if config.ClientAuth != tls.RequireAndVerifyClientCert || config.ClientCAs == nil {
		return errors.New("guard: the TLS configuration must require and verify a client's certificate, against ClientCAs")
	}
	return nil
}

// DialOptions are for remote.WithDialOptions: the other direction of mutual TLS.
func DialOptions(config *tls.Config) ([]grpc.DialOption, error) {
	switch {
	case config == nil || len(config.Certificates) == 0 && config.GetClientCertificate == nil:
		return nil, errors.New("guard: the TLS configuration needs a certificate to show")
	case config.InsecureSkipVerify:
		return nil, errors.New("guard: the TLS configuration must verify the server")
	}
	return []grpc.DialOption{grpc.WithTransportCredentials(newHandshakes(config))}, nil
}

func (g *Guard) interceptors() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainStreamInterceptor(g.stream), grpc.ChainUnaryInterceptor(g.call)}
}

func (g *Guard) refuse(reason Reason, typeName, target string) {
	g.counts[reason].Add(1)
	if g.options.Refused == nil {
		return
	}
	defer func() {
		if value := recover(); value != nil {
			g.counts[CallbackPanic].Add(1) // Refused is not called for itself
			g.log("Refused", value)
		}
	}()
	g.options.Refused(reason, typeName, target)
}

// log tells of the first panic of a callback. The others are counted alone: a peer could bring any
// number of them about.
func (g *Guard) log(callback string, value any) {
	if g.logged.CompareAndSwap(false, true) {
		g.options.System.Logger().Error("guard: a callback panicked, and further panics are only counted",
			slog.String("callback", callback), slog.Any("panic", value), slog.String("stack", string(debug.Stack())))
	}
}

// call refuses every procedure with one answer: they panic.
func (g *Guard) call(_ context.Context, _ any, info *grpc.UnaryServerInfo, _ grpc.UnaryHandler) (any, error) {
	// A runtime.Goexit in Refused does not keep the answer from the caller.
	_ = guarded(func() error { g.refuse(BadCall, info.FullMethod, ""); return nil })
	return nil, status.Error(codes.PermissionDenied, "guard: "+info.FullMethod+" is refused")
}

func (g *Guard) stream(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	err := guarded(func() error { return handler(server, &checked{stream, g}) })
	if ended, did := errors.AsType[*endedError](err); did {
		_ = guarded(func() error { g.refuse(Panic, "", ""); return nil })
		return status.Error(codes.Internal, "guard: the endpoint: "+ended.Error())
	}
	return err
}

// checked is a stream whose frames have only what is allowed.
type checked struct {
	grpc.ServerStream
	guard *Guard
}

// RecvMsg implements grpc.ServerStream.
func (c *checked) RecvMsg(m any) error {
	if err := c.ServerStream.RecvMsg(m); err != nil {
		return err
	}
	frame, ok := m.(*remote.RemoteMessage)
	if !ok {
		c.guard.refuse(BadFrame, "", "")
		return status.Error(codes.InvalidArgument, "guard: no frame of the remote")
	}
	c.guard.filter(frame)
	return nil
}

// filter takes out of a frame what is not allowed.
func (g *Guard) filter(frame *remote.RemoteMessage) {
	switch m := frame.MessageType.(type) {
	case *remote.RemoteMessage_MessageBatch:
		batch := m.MessageBatch
		if batch == nil {
			break
		}
		left := batch.Envelopes[:0]
		for _, envelope := range batch.Envelopes {
			if reason, typeName, target, ok := g.check(batch, envelope); ok {
				left = append(left, envelope)
			} else {
				g.refuse(reason, typeName, target)
			}
		}
		clear(batch.Envelopes[len(left):])
		batch.Envelopes = left
		return
	case *remote.RemoteMessage_ConnectRequest:
		if server, ok := m.ConnectRequest.GetConnectionType().(*remote.ConnectRequest_ServerConnection); ok && server.ServerConnection != nil {
			return
		}
	}
	g.refuse(BadFrame, "", "")
	frame.MessageType = &remote.RemoteMessage_MessageBatch{MessageBatch: &remote.MessageBatch{}}
}

func (g *Guard) check(batch *remote.MessageBatch, e *remote.MessageEnvelope) (reason Reason, typeName, target string, ok bool) {
	in := func(index int32, n int) bool { return index >= 0 && int(index) < n }
	switch {
	case e == nil:
		return BadFrame, "", "", false
	case !in(e.TypeId, len(batch.TypeNames)) || !in(e.Target, len(batch.Targets)) || !in(e.Sender, len(batch.Senders)+1):
		return BadIndex, "", "", false
	case batch.Targets[e.Target] == nil || e.Sender > 0 && batch.Senders[e.Sender-1] == nil:
		return BadIndex, "", "", false
	}
	typeName, target = batch.TypeNames[e.TypeId], batch.Targets[e.Target].Id
	if batch.Targets[e.Target].Address != g.options.System.Address() {
		return BadTarget, typeName, target, false
	}
	if e.SerializerId != 0 {
		return BadSerializer, typeName, target, false
	}
	kind, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(typeName))
	if err != nil {
		return UnknownType, typeName, target, false
	}
	may := g.options.Target
	switch m := kind.New().Interface().(type) {
	case *actor.Terminated, *actor.Watch, *actor.Unwatch:
		if !g.options.Watches {
			return SystemMessage, typeName, target, false
		}
		if proto.Unmarshal(e.MessageData, m) != nil || !g.foreign(named(m)) {
			return BadWatch, typeName, target, false
		}
		if _, ended := m.(*actor.Terminated); ended {
			may = g.options.Watcher
		}
	case actor.SystemMessage, actor.AutoReceiveMessage:
		return SystemMessage, typeName, target, false
	default:
		if !g.allows(typeName) {
			return ForbiddenType, typeName, target, false
		}
	}
	allowed, panicked := g.ask(may, target)
	switch {
	case panicked:
		return CallbackPanic, typeName, target, false
	case !allowed:
		return BadTarget, typeName, target, false
	}
	return 0, typeName, target, true
}

// named returns the actor in a message about watching: the watcher, or the one that has ended.
func named(m proto.Message) *actor.PID {
	switch m := m.(type) {
	case *actor.Watch:
		return m.GetWatcher()
	case *actor.Unwatch:
		return m.GetWatcher()
	case *actor.Terminated:
		return m.GetWho()
	}
	return nil
}

// foreign reports whether pid is that of an actor of another node. The other node names its own
// actors only: one of this node would hear of an end past Watcher, or of the end of an actor that
// lives.
func (g *Guard) foreign(pid *actor.PID) bool {
	switch pid.GetAddress() {
	case "", nowhere, g.options.System.Address():
		return false
	}
	return pid.GetId() != ""
}

// nowhere is the address of every actor of a system that has no remote. Proto.Actor takes it for
// one of this node.
const nowhere = "nonhost"

// ask calls Target or Watcher.
func (g *Guard) ask(may func(id string) bool, target string) (allowed, panicked bool) {
	defer func() {
		if value := recover(); value != nil {
			g.log("Target or Watcher", value)
			allowed, panicked = false, true
		}
	}()
	return may(target), false
}

func (g *Guard) allows(name string) bool {
	for _, allowed := range g.options.Types {
		prefix, whole := strings.CutSuffix(allowed, "*")
		if name == allowed || whole && strings.HasSuffix(prefix, ".") && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
