package tcpactor

import (
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// optional are the interfaces of the methods that a Handler may have beside Data, one method each.
var optional = []reflect.Type{
	reflect.TypeFor[AcceptedHandler](),
	reflect.TypeFor[ClosedHandler](),
	reflect.TypeFor[ClosingHandler](),
	reflect.TypeFor[PeerClosedHandler](),
	reflect.TypeFor[WritableHandler](),
	reflect.TypeFor[DrainingHandler](),
	reflect.TypeFor[TLSStartedHandler](),
	reflect.TypeFor[MessageHandler](),
}

// misfits has an error or nil for each type of handler that was made.
var misfits sync.Map // of reflect.Type

// fits returns h. It panics with one sentence if h has a method by which an optional one is meant,
// but which would never be called: its parameters or results are others, or it belongs to the
// pointer while h is a value.
func fits(h Handler) Handler {
	t := reflect.TypeOf(h)
	found, known := misfits.Load(t)
	if !known {
		found, _ = misfits.LoadOrStore(t, misfit(t))
	}
	if err, is := found.(error); is {
		panic(err)
	}
	return h
}

// misfit returns nil for a type whose methods fit. The methods of other purposes are those that
// take neither a Socket nor a context first.
func misfit(t reflect.Type) error {
	all := t
	if t.Kind() != reflect.Pointer {
		all = reflect.PointerTo(t)
	}
	for _, i := range optional {
		want := i.Method(0)
		has, is := all.MethodByName(want.Name)
		switch {
		case !is, t.Implements(i):
		case all.Implements(i):
			return fmt.Errorf("berth: %s of %v is never called: it belongs to *%v, and the handler is no pointer", want.Name, t, t)
		case meant(has.Type):
			return fmt.Errorf("berth: %s of %v is never called: a berth.%s has %s%s",
				want.Name, t, i.Name(), want.Name, signature(want.Type))
		}
	}
	return nil
}

// signature is that of a method, with the types' names in package berth.
func signature(method reflect.Type) string {
	return strings.ReplaceAll(strings.TrimPrefix(method.String(), "func"), "protocol.", "berth.")
}

// meant reports whether a method, with its receiver, takes what the optional methods take first.
func meant(method reflect.Type) bool {
	if method.NumIn() < 2 {
		return false
	}
	first := method.In(1)
	return first == reflect.TypeFor[protocol.Socket]() || first == reflect.TypeFor[actor.Context]()
}
