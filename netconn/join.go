package netconn

import (
	"slices"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// functions are those that run still, of connections that they gave to another handler. The end of
// a connection waits for its own.
type functions struct {
	mu sync.Mutex
	of map[protocol.Socket][]<-chan struct{}
}

// add enters a function, unless it has returned.
func (f *functions) add(socket protocol.Socket, returned <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	select {
	case <-returned:
		return
	default:
	}
	if f.of == nil {
		f.of = map[protocol.Socket][]<-chan struct{}{}
	}
	f.of[socket] = append(f.of[socket], returned)
}

// remove is called after a function's return.
func (f *functions) remove(socket protocol.Socket, returned <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := f.of[socket]
	if all = slices.DeleteFunc(all, func(one <-chan struct{}) bool { return one == returned }); len(all) > 0 {
		f.of[socket] = all
	} else {
		delete(f.of, socket)
	}
}

// wait waits for the functions of one connection.
func (f *functions) wait(socket protocol.Socket) {
	f.mu.Lock()
	all := slices.Clone(f.of[socket])
	f.mu.Unlock()
	for _, returned := range all {
		<-returned
	}
}

// Keep implements tcpactor.Keeper: the handlers that come after one of f's end with a join.
func (f *factory) Keep(next tcpactor.Factory) tcpactor.Factory {
	if f.late == nil {
		return next
	}
	return joiningOnce(next, f.late)
}

// joining is the factory of a connection that had a handler with a function before.
type joining struct {
	tcpactor.Factory
	late *functions
}

// Keep implements tcpactor.Keeper.
func (j joining) Keep(next tcpactor.Factory) tcpactor.Factory {
	return joiningOnce(tcpactor.Keep(j.Factory, next), j.late)
}

// joiningOnce adds no second join where there is one, however often the handlers change.
func joiningOnce(next tcpactor.Factory, late *functions) tcpactor.Factory {
	if j, is := next.(joining); is && j.late == late {
		return next
	}
	return joining{next, late}
}

// Open implements tcpactor.Factory.
func (j joining) Open() tcpactor.Receiver {
	return tcpactor.Wrap(j.Factory, func(next tcpactor.Receiver) tcpactor.Receiver {
		return tcpactor.ReceiverFunc(func(ctx actor.Context, message any) error {
			if closed, is := message.(*protocol.Closed); is {
				defer j.late.wait(closed.Socket)
			}
			return next.Receive(ctx, message)
		})
	}).Open()
}
