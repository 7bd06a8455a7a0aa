package requests

import (
	"context"
	"time"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
)

// Pipeline pairs requests and answers by their order: the peer answers in the order of the
// requests, each exactly once. Any goroutine may call its methods.
type Pipeline[R any] struct{ exchange[struct{}, R] }

// Read takes one answer out of the unread bytes. If it is not all there, Read leaves them as they
// are and returns an error that matches frame.ErrIncomplete, as the decoders of package frame do.
// Any other error, as of a peer that breaks the protocol, ends the connection. Read runs on the
// connection's turn; what it returns must not share memory with the buffer.
type Read[R any] func(b *protocol.Buffer) (answer R, err error)

// NewPipeline returns a Pipeline without a connection. newRead is called once for each connection,
// as a decoder may remember how far it has looked. Without it Dial returns an error.
//
// unsolicited, if not nil, gets the answers that come while no request is outstanding, on the
// connection's turn. Without it such an answer ends the connection with ErrUnsolicited.
func NewPipeline[R any](newRead func() Read[R], unsolicited func(R), options Options) *Pipeline[R] {
	p := &Pipeline[R]{}
	p.init(true, options)
	if newRead == nil {
		return p
	}
	p.newTake = func() take[struct{}, R] {
		read := newRead()
		return func(b *protocol.Buffer) (R, *call[struct{}, R], error) { return p.take(b, read, unsolicited) }
	}
	return p
}

func (p *Pipeline[R]) take(b *protocol.Buffer, read Read[R], unsolicited func(R)) (answer R, c *call[struct{}, R], err error) {
	if answer, err = read(b); err != nil {
		return answer, nil, err
	}
	p.mu.Lock()
	first, open := p.table.next()
	switch {
	case open:
		c = first
	case first != nil:
		p.late++
	case unsolicited == nil:
		err = ErrUnsolicited
	}
	p.mu.Unlock()
	if first == nil && err == nil {
		unsolicited(answer)
	}
	return answer, c, err
}

// Handler returns the handler of the Pipeline's connection, for one connection at a time: the Dial
// of a second one returns ErrInUse. next, if not nil, gets the other events and messages: all but
// Data and Request.
func (p *Pipeline[R]) Handler(next tcpactor.Factory) tcpactor.Factory { return p.handler(next) }

// Do sends a request and waits for its answer. data belongs to the connection from now on. The
// error is that of Start, ctx's, ErrTimeout, ErrReplaced or a *ClosedError. A handler of the
// connection must not call it, nor a done: it would wait for itself.
func (p *Pipeline[R]) Do(ctx context.Context, data []byte) (R, error) {
	return p.do(ctx, struct{}{}, data)
}

// Start sends a request. It does not wait for the answer: done gets that, or the error. done runs
// on the connection's turn, exactly once, and not inside Start; nil if neither is wanted. timeout 0
// is that of the Options, negative none. data belongs to the connection from now on.
//
// If Start returns an error, done never runs, and not a byte is sent. The error is ErrNotConnected,
// ErrTooMany, or that of the write: see protocol.Socket.WriteOwned. A request is one write, so one
// above the connection's WriteBufferSize is refused.
func (p *Pipeline[R]) Start(data []byte, timeout time.Duration, done func(answer R, err error)) error {
	_, err := p.start(struct{}{}, data, p.until(timeout), done)
	return err
}
