package guard

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"

	"google.golang.org/grpc/credentials"
)

// endedError is the error of code that panicked or called runtime.Goexit.
type endedError struct{ value any } // nil for runtime.Goexit

func (e *endedError) Error() string {
	if e.value == nil {
		return "runtime.Goexit was called"
	}
	return fmt.Sprintf("panic: %v", e.value)
}

// guarded runs code that may be the user's on a goroutine of its own and waits for it. So a panic
// or a runtime.Goexit ends no goroutine of gRPC's, and becomes an *endedError.
func guarded(code func() error) error {
	ended := make(chan error, 1)
	go func() {
		returned := false
		defer func() {
			if !returned {
				ended <- &endedError{recover()}
			}
		}()
		err := code()
		returned = true
		ended <- err
	}()
	return <-ended
}

// handshakes are credentials whose handshakes are guarded: the callbacks of a tls.Config, and its
// keys, are the user's code. Those of package credentials do the client's handshake on a goroutine
// where nothing could recover its panic.
type handshakes struct {
	credentials.TransportCredentials
	config *tls.Config
}

func newHandshakes(config *tls.Config) *handshakes {
	config = config.Clone()
	if pick := config.GetConfigForClient; pick != nil {
		config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			chosen, err := pick(hello)
			if err == nil && chosen != nil {
				err = mutual(chosen)
			}
			return chosen, err
		}
	}
	if config.ClientSessionCache != nil {
		config.ClientSessionCache = cache{config.ClientSessionCache}
	}
	return &handshakes{credentials.NewTLS(config), config}
}

// ServerHandshake implements credentials.TransportCredentials.
func (h *handshakes) ServerHandshake(raw net.Conn) (conn net.Conn, info credentials.AuthInfo, err error) {
	err = guarded(func() (err error) {
		conn, info, err = h.TransportCredentials.ServerHandshake(raw)
		return err
	})
	return conn, info, described(err)
}

// ClientHandshake implements credentials.TransportCredentials.
func (h *handshakes) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config := h.config.Clone()
	if !slices.Contains(config.NextProtos, "h2") {
		config.NextProtos = append(slices.Clip(config.NextProtos), "h2")
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12) // RFC 9113, section 9.2
	if config.ServerName == "" {
		config.ServerName = authority
		if host, _, err := net.SplitHostPort(authority); err == nil {
			config.ServerName = host
		}
	}
	conn := tls.Client(raw, config)
	if err := guarded(func() error { return conn.HandshakeContext(ctx) }); err != nil {
		_ = raw.Close() // the handshake's error is what the caller is told
		return nil, nil, described(err)
	}
	return conn, credentials.TLSInfo{
		State: conn.ConnectionState(), CommonAuthInfo: credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity},
	}, nil
}

// described says where code ended that did not return.
func described(err error) error {
	if _, did := errors.AsType[*endedError](err); did {
		return fmt.Errorf("guard: the handshake: %w", err)
	}
	return err
}

// Clone implements credentials.TransportCredentials.
func (h *handshakes) Clone() credentials.TransportCredentials {
	return &handshakes{h.TransportCredentials.Clone(), h.config.Clone()}
}

// OverrideServerName implements credentials.TransportCredentials.
func (h *handshakes) OverrideServerName(name string) error {
	h.config.ServerName = name
	return h.TransportCredentials.OverrideServerName(name) //nolint:staticcheck // the interface has it
}

// cache guards the user's cache of sessions: with TLS 1.3 it is called behind the handshake too.
type cache struct{ tls.ClientSessionCache }

// Get implements tls.ClientSessionCache. A panic means that there is no session.
func (c cache) Get(key string) (session *tls.ClientSessionState, ok bool) {
	if guarded(func() error { session, ok = c.ClientSessionCache.Get(key); return nil }) != nil {
		return nil, false
	}
	return session, ok
}

// Put implements tls.ClientSessionCache.
func (c cache) Put(key string, session *tls.ClientSessionState) {
	_ = guarded(func() error { c.ClientSessionCache.Put(key, session); return nil })
}
