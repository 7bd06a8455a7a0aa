package chaos

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

func TestMain(m *testing.M) { setup.Main(m) }

// patience bounds the time for events that should happen at once. Only a failing test waits that
// long.
const patience = 30 * time.Second

// ledger holds the violations that were seen, and counts of successes.
type ledger struct {
	mu         sync.Mutex
	violations []string

	opened, ended atomic.Int64 // connections, as their handlers count them
	echoed        atomic.Int64 // messages that clients got back
	dialled, cut  atomic.Int64 // clients' connections; of those, ended by the other side
}

// violation notes that a guarantee did not hold.
func (l *ledger) violation(guarantee, format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.violations = append(l.violations, guarantee+": "+fmt.Sprintf(format, args...))
}

// found returns the violations so far, the first few of them in words.
func (l *ledger) found() (count int, first string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.violations), strings.Join(l.violations[:min(5, len(l.violations))], "\n")
}

// echo sends every byte back and checks the events of its connection. Each connection has a value
// of its own.
type echo struct {
	ledger   *ledger
	inside   atomic.Bool
	opened   bool
	failed   bool // returned an error, or panicked
	closed   bool
	accepted uint64 // bytes of accepted writes
}

// enter and leave enclose a handler call: they never overlap.
func (e *echo) enter(call string) {
	if e.inside.Swap(true) {
		e.ledger.violation("G1", "%s overlaps another call", call)
	}
	if e.closed {
		e.ledger.violation("G1", "%s after Closed", call)
	}
}

func (e *echo) leave() { e.inside.Store(false) }

// Accepted implements tcpactor.Handler.
func (e *echo) Accepted(protocol.Socket) error {
	e.enter("Accepted")
	defer e.leave()
	if e.opened {
		e.ledger.violation("G1", "Accepted twice")
	}
	e.opened = true
	e.ledger.opened.Add(1)
	return nil
}

// Data implements tcpactor.Handler. It panics on a message that begins with "panic".
func (e *echo) Data(socket protocol.Socket, buffer *protocol.Buffer) error {
	e.enter("Data")
	defer e.leave()
	if !e.opened {
		e.ledger.violation("G1", "Data before Accepted")
	}
	if e.failed {
		e.ledger.violation("G8", "Data after the handler had failed")
	}
	if string(buffer.Peek(5)) == "panic" {
		e.failed = true
		panic("as asked")
	}
	n, err := socket.Forward(buffer)
	e.accepted += uint64(n)
	e.failed = err != nil
	return err
}

// Closed implements tcpactor.Handler.
func (e *echo) Closed(_ protocol.Socket, closed *protocol.Closed) {
	e.enter("Closed")
	defer e.leave()
	e.closed = true
	s := closed.Stats
	if s.Written+s.Unsent != e.accepted {
		e.ledger.violation("G3", "%d bytes accepted, %d written, %d unsent", e.accepted, s.Written, s.Unsent)
	}
	if s.Read < e.accepted {
		e.ledger.violation("G2", "%d bytes shown, %d read", e.accepted, s.Read)
	}
	e.ledger.ended.Add(1)
}

func newSystem() *actor.ActorSystem { return tcpactor.NewSystem(setup.Silent()...) }

func factory(l *ledger) tcpactor.Factory {
	return tcpactor.Handlers(func() tcpactor.Handler { return &echo{ledger: l} })
}

// overEach runs a test over each transport of this system.
func overEach(t *testing.T, test func(t *testing.T, transport listener.Transport)) {
	for name, transport := range map[string]listener.Transport{"auto": listener.Auto, "stream": listener.Stream} {
		t.Run(name, func(t *testing.T) { test(t, transport) })
	}
}

// certified returns a server's configuration; its client must not verify the certificate.
func certified(t *testing.T) *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13}
}

// endsCleanly closes the listener and requires that nothing of it is left.
func endsCleanly(t *testing.T, system *actor.ActorSystem, l *listener.Listener, seen *ledger) {
	t.Helper()
	require.NoError(t, l.Close())
	assert.Empty(t, setup.ActorsBelow(system, l.PID()), "actors")
	assert.Equal(t, seen.opened.Load(), seen.ended.Load(), "every Accepted has its Closed")
}
