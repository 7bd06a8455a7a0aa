package simnet

import (
	"context"
	"os"
	"syscall"
	"time"
)

// Dial connects to the listener. It returns after one round trip, whether the connection is
// accepted or not. With the backlog full, or across a partition, it blocks until that is over or
// ctx is done, and then returns the context's error. A listener that is closed, also one that is
// closed meanwhile, refuses with syscall.ECONNREFUSED.
func (l *Listener) Dial(ctx context.Context) (*Conn, error) {
	l.gate.Lock()
	defer l.gate.Unlock()
	if err := l.handshake(ctx); err != nil {
		return nil, l.failed("dial", err)
	}
	l.dialed++
	link := newLink(l.opts)
	link.released = l.forget
	client, server := pair(link, addr("client", l.dialed), l.addr())
	l.links[link] = struct{}{}
	l.backlog = append(l.backlog, server)
	l.gate.broadcast()
	return client, nil
}

// handshake waits until the listener has answered, and has room. The caller holds the gate, before
// and after.
func (l *Listener) handshake(ctx context.Context) error {
	const legs = 2 // there and back
	answer := time.Now().Add(legs * l.opts.Latency)
	for {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case l.cut:
			l.gate.wait(time.Time{}, ctx.Done())
			answer = time.Now().Add(legs * l.opts.Latency) // the attempt is lost and made again
		case time.Now().Before(answer):
			l.gate.wait(answer, ctx.Done())
		case l.closed:
			return os.NewSyscallError("connect", syscall.ECONNREFUSED)
		case len(l.backlog) >= l.opts.Backlog:
			l.gate.wait(time.Time{}, ctx.Done())
		default:
			return nil
		}
	}
}
