package tcpactor_test

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// data is what each of these handlers has.
type data struct{}

func (data) Data(protocol.Socket, *protocol.Buffer) error { return nil }

type (
	withoutReason struct{ data }
	withError     struct{ data }
	withoutError  struct{ data }
	withoutSocket struct{ data }
	ofThePointer  struct{ data }
	itsOwn        struct{ data }
	allThatFits   struct{ data }
)

func (withoutReason) Closed(protocol.Socket)                          {}
func (withError) Closing(protocol.Socket, *protocol.Closing) error    { return nil }
func (withoutError) Accepted(protocol.Socket)                         {}
func (withoutSocket) Message(actor.Context, any) error                { return nil }
func (*ofThePointer) Closed(protocol.Socket, *protocol.Closed)        {}
func (itsOwn) Closed() bool                                           { return true }
func (itsOwn) Message(string) string                                  { return "" }
func (allThatFits) Closed(protocol.Socket, *protocol.Closed)          {}
func (allThatFits) Accepted(protocol.Socket) error                    { return nil }
func (allThatFits) Message(actor.Context, protocol.Socket, any) error { return nil }

// A method that is meant as an optional one is called, or said to be wrong.
func TestAnOptionalMethodThatDoesNotFitIsOneSentence(t *testing.T) {
	for _, c := range []struct {
		handler tcpactor.Handler
		want    string
	}{
		{withoutReason{}, "berth: Closed of tcpactor_test.withoutReason is never called: a berth.ClosedHandler has Closed(berth.Socket, *berth.Closed)"},
		{&withoutReason{}, "berth: Closed of *tcpactor_test.withoutReason is never called: a berth.ClosedHandler has Closed(berth.Socket, *berth.Closed)"},
		{withError{}, "berth: Closing of tcpactor_test.withError is never called: a berth.ClosingHandler has Closing(berth.Socket, *berth.Closing)"},
		{withoutError{}, "berth: Accepted of tcpactor_test.withoutError is never called: a berth.AcceptedHandler has Accepted(berth.Socket) error"},
		{withoutSocket{}, "berth: Message of tcpactor_test.withoutSocket is never called: a berth.MessageHandler has Message(actor.Context, berth.Socket, interface {}) error"},
		{ofThePointer{}, "berth: Closed of tcpactor_test.ofThePointer is never called: it belongs to *tcpactor_test.ofThePointer, and the handler is no pointer"},
	} {
		factory := tcpactor.Handlers(func() tcpactor.Handler { return c.handler })
		for range 2 { // the second finds the answer of the first
			assert.PanicsWithError(t, c.want, func() { factory.Open() })
		}
	}
	for _, fits := range []tcpactor.Handler{&ofThePointer{}, itsOwn{}, &itsOwn{}, allThatFits{}, &allThatFits{}} {
		factory := tcpactor.Handlers(func() tcpactor.Handler { return fits })
		require.NotPanics(t, func() { factory.Open() }, "%T", fits)
	}
}
