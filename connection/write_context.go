package connection

import (
	"context"
	"errors"
	"io"

	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"
)

// WriteContext implements protocol.Socket. It waits for room, which the writer makes without a turn
// of the connection, so a handler and a completion may wait here.
func (c *Connection) WriteContext(ctx context.Context, p []byte) (written int, err error) {
	return c.writeAll(ctx, p, c.post)
}

// writeAll gives all of p to post, once there is room.
func (c *Connection) writeAll(ctx context.Context, p []byte, post func(*entry, bool)) (written int, err error) {
	r := &c.makeRare().room
	if err := ctx.Err(); err != nil { // of several that are ready, select takes any
		return 0, err
	}
	wait := seam.Wait()
	select {
	case r.writing <- struct{}{}:
		defer func() { <-r.writing }()
		wait.Over()
	case <-ctx.Done():
		wait.Over()
		return 0, ctx.Err()
	}
	for {
		piece := p[written:min(len(p), written+c.largestPiece())]
		if err := c.writePiece(ctx, piece, post); err != nil {
			return written, err
		}
		if written += len(piece); written == len(p) {
			return written, nil
		}
	}
}

// largestPiece is how much is queued at once. It fits into an empty queue, into the share of a
// memory budget for one connection, and into one system call.
func (c *Connection) largestPiece() int {
	most := min(c.shared.limits.bytes, maxBatch)
	if b := c.shared.budget; b != nil {
		most = int(min(int64(most), max(b.limits.HighWater/4, 1)))
	}
	return most
}

// writePiece gives p, which fits into an empty queue, to post, once there is room.
func (c *Connection) writePiece(ctx context.Context, p []byte, post func(*entry, bool)) error {
	memory := c.shared.copied(len(p))
	crossed, err := c.awaitRoom(ctx, len(p), memory)
	if err != nil {
		return err
	}
	e := newEntry()
	e.memory = memory
	e.copyOf(p)
	post(e, crossed)
	return nil
}

// awaitRoom is acquire for a write that waits.
func (c *Connection) awaitRoom(ctx context.Context, n, memory int) (crossed bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	r := &c.makeRare().room
	r.waiters.Add(1)
	defer r.waiters.Add(-1)
	for {
		made := r.made.wait()
		crossed, err = c.reserve(n, memory)
		switch {
		case err == nil:
			return crossed, nil
		case errors.Is(err, protocol.ErrMemoryBudget): // the budget tells
		case !lacksRoom(err):
			return false, c.refusal(n, err)
		case c.bringOut() == someOut:
			if err := ctx.Err(); err != nil {
				return false, err
			}
			continue
		}
		wait := seam.Wait()
		select {
		case <-made:
		case <-ctx.Done():
		}
		wait.Over()
		if err := ctx.Err(); err != nil { // of several that are ready, select takes any
			return false, err
		}
	}
}

// Writer implements protocol.Socket.
func (c *Connection) Writer(ctx context.Context) io.Writer { return contextWriter{c, ctx} }

// contextWriter is the io.Writer view of WriteContext.
type contextWriter struct {
	c   *Connection
	ctx context.Context
}

func (w contextWriter) Write(p []byte) (int, error) { return w.c.WriteContext(w.ctx, p) }
