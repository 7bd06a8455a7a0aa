package requests

import (
	"context"
	"time"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// Mux pairs requests and answers by an identifier of type K that the peer repeats. The answers may
// come in any order. Any goroutine may call its methods.
//
// An identifier may be used again once its request has ended. After a timeout the late answer may
// still come, and would be taken for that of the new request: where that matters, identifiers
// should not come again soon.
type Mux[K comparable, R any] struct{ exchange[K, R] }

// ReadID is a Read that returns the answer's identifier too.
type ReadID[K comparable, R any] func(b *protocol.Buffer) (id K, answer R, err error)

// NewMux returns a Mux without a connection. newRead is called once for each connection.
// unsolicited, if not nil, gets the answers to no outstanding request, on the
// connection's turn: messages that the peer sends by itself, and late answers. Without it they are
// dropped. Either way Late counts them.
func NewMux[K comparable, R any](newRead func() ReadID[K, R], unsolicited func(K, R), options Options) *Mux[K, R] {
	m := &Mux[K, R]{}
	m.init(false, options)
	if newRead == nil {
		return m
	}
	m.newTake = func() take[K, R] {
		read := newRead()
		return func(b *protocol.Buffer) (R, *call[K, R], error) { return m.take(b, read, unsolicited) }
	}
	return m
}

func (m *Mux[K, R]) take(b *protocol.Buffer, read ReadID[K, R], unsolicited func(K, R)) (R, *call[K, R], error) {
	id, answer, err := read(b)
	if err != nil {
		return answer, nil, err
	}
	m.mu.Lock()
	c, err := m.table.of(id)
	if c == nil && err == nil {
		m.late++
	}
	m.mu.Unlock()
	if err != nil {
		return answer, nil, err
	}
	if c == nil && unsolicited != nil {
		unsolicited(id, answer)
	}
	return answer, c, nil
}

// Handler is Pipeline.Handler.
func (m *Mux[K, R]) Handler(next tcpactor.Factory) tcpactor.Factory { return m.handler(next) }

// Do is Pipeline.Do. data must contain id.
func (m *Mux[K, R]) Do(ctx context.Context, id K, data []byte) (R, error) { return m.do(ctx, id, data) }

// Start is Pipeline.Start. data must contain id. The error is also ErrDuplicateID or ErrBadID.
func (m *Mux[K, R]) Start(id K, data []byte, timeout time.Duration, done func(answer R, err error)) error {
	_, err := m.start(id, data, m.until(timeout), done)
	return err
}
