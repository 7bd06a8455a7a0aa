package listener

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
)

func TestWhatAClientCanBringAboutIsNoErrorRecord(t *testing.T) {
	system := actor.NewActorSystem()
	var text bytes.Buffer
	subscription := Log(system, slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})))
	defer system.EventStream.Unsubscribe(subscription)
	pid, err, addr := system.NewLocalPID("x"), errors.New("bad input"), &net.TCPAddr{Port: 7}
	for want, events := range map[string][]any{
		"DEBUG": {&connection.Closed{PID: pid, RemoteAddr: addr, Reason: protocol.ReasonPeerClosed}},
		"INFO": {
			&Rejected{RemoteAddr: addr, Reason: protocol.RefusalFull},
			&connection.HandshakeFailed{RemoteAddr: addr, Err: err},
		},
		"WARN":  {&connection.HandlerFailed{PID: pid, Reason: protocol.ReasonHandlerError, Err: err}},
		"ERROR": {&connection.HandlerFailed{PID: pid, Reason: protocol.ReasonHandlerPanic, Err: err}},
	} {
		for _, event := range events {
			text.Reset()
			system.EventStream.Publish(event)
			assert.Contains(t, text.String(), "level="+want, "%T", event)
			assert.NotContains(t, text.String(), "<nil>", "%T", event)
		}
	}
	text.Reset()
	system.EventStream.Publish(&connection.Closing{PID: pid, RemoteAddr: addr, Err: err})
	assert.Contains(t, text.String(), "level=DEBUG", "a record for every connection")
}

func TestTheRecordOfADialersStartDoesNotSayThatItListens(t *testing.T) {
	w := newWorld()
	var text bytes.Buffer
	defer w.EventStream.Unsubscribe(Log(w.ActorSystem, slog.New(slog.NewTextHandler(&text, nil))))
	d, err := NewDialer(w.Root, Options{})
	require.NoError(t, err)
	require.NoError(t, d.Close())
	assert.Contains(t, text.String(), "msg=dialing addr=dialer")
}

// What every connection has is made only if the logger takes records of level Debug at that moment.
func TestEventsThatNoRecordIsMadeOfAreNotMade(t *testing.T) {
	w, level := newWorld(), new(slog.LevelVar)
	system := tcpactor.NewSystem(setup.Silent()...)
	log := Log(system, slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: level})))
	ofEach := []any{
		(*connection.HandshakeStarted)(nil), (*connection.TLSStarted)(nil), (*connection.Opened)(nil), (*connection.Closing)(nil), (*connection.Closed)(nil),
	}
	for _, debug := range []bool{false, true} {
		if debug {
			level.Set(slog.LevelDebug)
		}
		for _, event := range ofEach {
			assert.Equal(t, debug, tcpactor.Heard(system, event), "%T", event)
		}
		assert.True(t, tcpactor.Heard(system, (*connection.HandlerFailed)(nil)))
	}
	system.EventStream.Unsubscribe(log)
	Log(system, slog.New(failsWhenAsked{}))
	assert.True(t, tcpactor.Heard(system, ofEach[0]), "and the failure is told where failures are")
	assert.True(t, tcpactor.Heard(w.ActorSystem, ofEach[0]), "another subscriber hears everything")
}

// failsWhenAsked is a slog.Handler that panics.
type failsWhenAsked struct{ slog.Handler }

func (failsWhenAsked) Enabled(context.Context, slog.Level) bool { panic("enabled") }
