package guard_test

import (
	"context"
	"crypto/tls"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/go-berth/berth/guard"
)

// Each callback that a peer's message reaches panics: the message is refused, the one behind it on
// the same stream arrives.
func TestAPanicInACallbackRefusesItsMessageAlone(t *testing.T) {
	fails := func(id string) bool {
		if id == "closed" {
			panic("a defect of the program")
		}
		return true
	}
	a := newAuthority(t)
	n := newNode(t, a, guard.Options{
		Target: fails, Watcher: fails, Watches: true, Refused: func(guard.Reason, string, string) { panic("a defect of the program") },
	})
	_, config := a.node(t)
	client := n.dial(t, config)
	s := stream(t, client)
	good := &durationpb.Duration{Seconds: 1}
	far := actor.NewPID("127.0.0.1:1", "far")
	for i, b := range []*remote.MessageBatch{
		batch(t, n, "open", &actor.Stop{}), batch(t, n, "closed", good), batch(t, n, "closed", &actor.Watch{Watcher: far}),
		batch(t, n, "closed", &actor.Terminated{Who: far}),
	} {
		require.NoError(t, s.Send(frame(together(b, batch(t, n, "open", good)))))
		receive(t, n.mail)
		assert.EqualValues(t, 1+2*i, n.guard.Count(guard.CallbackPanic), "Refused alone for the Stop, and two for each other message")
	}
	assert.EqualValues(t, 1, n.guard.Count(guard.SystemMessage))
	assert.Zero(t, n.guard.Count(guard.Panic))
	assert.Empty(t, n.other)
	_, err := client.ListProcesses(t.Context(), &remote.ListProcessesRequest{}) // refused on another goroutine
	assert.Equal(t, codes.PermissionDenied, status.Code(err), err)
}

// runtime.Goexit, as of a failed assertion in a test's Refused, ends the stream: the peer hears of
// it and connects again.
func TestGoexitInACallbackEndsTheStreamAndIsToldToThePeer(t *testing.T) {
	a := newAuthority(t)
	n := newNode(t, a, guard.Options{Refused: func(guard.Reason, string, string) { runtime.Goexit() }})
	_, config := a.node(t)
	client := n.dial(t, config)
	s := stream(t, client)
	require.NoError(t, s.Send(frame(batch(t, n, "open", &actor.Stop{}))))
	_, err := s.Recv()
	assert.Equal(t, codes.Internal, status.Code(err), err)
	assert.ErrorContains(t, err, "Goexit")
	assert.EqualValues(t, 1, n.guard.Count(guard.Panic))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	_, err = client.ListProcesses(ctx, &remote.ListProcessesRequest{})
	assert.Equal(t, codes.PermissionDenied, status.Code(err), err)
	require.NoError(t, stream(t, client).Send(frame(batch(t, n, "open", &durationpb.Duration{Seconds: 2}))))
	assert.EqualValues(t, 2, receive(t, n.mail).(*durationpb.Duration).Seconds)
}

// The callbacks of a tls.Config run in gRPC's handshakes.
func TestAPanicInACallbackOfTLSFailsItsHandshakeAlone(t *testing.T) {
	for name, fail := range map[string]func(){"panic": func() { panic("a defect of the program") }, "Goexit": runtime.Goexit} {
		a := newAuthority(t)
		serverTLS, clientTLS := a.node(t)
		var defect atomic.Bool
		defect.Store(true)
		verify := func(tls.ConnectionState) error {
			if defect.Load() {
				fail()
			}
			return nil
		}
		serverTLS.VerifyConnection = verify
		n := newNodeWith(t, guard.Options{}, serverTLS, clientTLS)
		send := func(config *tls.Config) error {
			options, err := guard.DialOptions(config)
			require.NoError(t, err)
			conn, err := grpc.Dial(n.system.Address(), options...)
			require.NoError(t, err)
			defer conn.Close()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			s, err := remote.NewRemotingClient(conn).Receive(ctx)
			if err == nil {
				err = s.Send(frame(batch(t, n, "open", &durationpb.Duration{Seconds: 3})))
			}
			if err == nil && !defect.Load() {
				receive(t, n.mail)
				return nil
			}
			if err == nil {
				_, err = s.Recv()
			}
			return err
		}
		assert.Equal(t, codes.Unavailable, status.Code(send(clientTLS)), name)
		defect.Store(false)
		require.NoError(t, send(clientTLS), name)

		failing := clientTLS.Clone()
		failing.VerifyConnection = func(tls.ConnectionState) error { fail(); return nil }
		assert.ErrorContains(t, send(failing), "guard: the handshake: ", name)
		forgetful := clientTLS.Clone()
		forgetful.ClientSessionCache = broken{fail}
		require.NoError(t, send(forgetful), name)
	}
}

// broken is a cache that fails behind the handshake: TLS 1.3 has its tickets there.
type broken struct{ fail func() }

func (b broken) Get(string) (*tls.ClientSessionState, bool) { b.fail(); return nil, false }
func (b broken) Put(string, *tls.ClientSessionState)        { b.fail() }

// A configuration that is chosen for a client lets it in no easier than the one that it replaces.
func TestAConfigurationForAClientAsksForItsCertificateToo(t *testing.T) {
	a := newAuthority(t)
	serverTLS, clientTLS := a.node(t)
	strict, lax := serverTLS.Clone(), serverTLS.Clone()
	strict.NextProtos = []string{"h2"}
	lax.NextProtos, lax.ClientAuth = []string{"h2"}, tls.NoClientCert
	var chosen atomic.Pointer[tls.Config]
	chosen.Store(lax)
	serverTLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return chosen.Load(), nil }
	n := newNodeWith(t, guard.Options{}, serverTLS, clientTLS)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := n.dial(t, &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS13}).Receive(ctx)
	if err == nil {
		_ = s.Send(frame(batch(t, n, "open", &durationpb.Duration{Seconds: 1})))
		_, err = s.Recv()
	}
	assert.Equal(t, codes.Unavailable, status.Code(err), err)
	assert.Empty(t, n.mail)
	chosen.Store(strict)
	require.NoError(t, stream(t, n.dial(t, clientTLS)).Send(frame(batch(t, n, "open", &durationpb.Duration{Seconds: 2}))))
	assert.EqualValues(t, 2, receive(t, n.mail).(*durationpb.Duration).Seconds)
}
