package listener

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

func TestWhatAClientCanBringAboutIsNoErrorRecord(t *testing.T) {
	system := actor.NewActorSystem()
	var text bytes.Buffer
	subscription := Log(system, slog.New(slog.NewTextHandler(&text, nil)))
	defer system.EventStream.Unsubscribe(subscription)
	pid, err, addr := system.NewLocalPID("x"), errors.New("bad input"), &net.TCPAddr{Port: 7}
	for want, events := range map[string][]any{
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
		}
	}
	text.Reset()
	system.EventStream.Publish(&connection.Closing{PID: pid, RemoteAddr: addr, Err: err})
	assert.Empty(t, text.String(), "a record for every connection")
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
