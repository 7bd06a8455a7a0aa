package berthtest

import (
	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol"
)

// This file has the methods by which a test acts on a Socket in the place of the kernel and the
// peer.

// Flush has the kernel take all that is queued at this moment. It runs the completions in order on
// the calling goroutine and returns their number. After an Abort or an End they get its error.
// Writes that a completion queues stay for the next Flush.
func (s *Socket) Flush() int {
	s.mu.Lock()
	all := len(s.queued)
	s.mu.Unlock()
	completions := 0
	for range all {
		ran, ok := s.flush()
		if !ok {
			break
		}
		if ran {
			completions++
		}
	}
	return completions
}

// FlushOne has the kernel take the oldest write, or lets the oldest command take effect, and runs
// its completion. It returns false if nothing is queued.
func (s *Socket) FlushOne() bool {
	_, ok := s.flush()
	return ok
}

// flush reports whether there was an entry, and whether that had a completion.
func (s *Socket) flush() (ran, ok bool) {
	s.mu.Lock()
	if len(s.queued) == 0 {
		s.mu.Unlock()
		return false, false
	}
	q := s.queued[0]
	s.queued = s.queued[1:]
	err := q.err
	if err == nil && !q.ends {
		err = s.cause
	}
	if s.cause == nil {
		s.stats.Written += uint64(q.bytes)
	} else {
		s.stats.Unsent += uint64(q.bytes)
	}
	s.mu.Unlock()
	if q.done != nil {
		q.done(err)
	}
	return q.done != nil, true
}

// Refuse lets writes fail with err from now on: berth.ErrWriteBufferFull, for example, as if the
// peer did not read. WriteContext waits meanwhile if err is a lack of room. Accept ends the
// refusals.
func (s *Socket) Refuse(err error) { s.RefuseAfter(0, err) }

// RefuseAfter accepts so many more writes and then refuses as Refuse does. It tests a handler that
// finds the queue full in the middle of its work.
func (s *Socket) RefuseAfter(writes int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepts, s.refusal = max(0, writes), err
}

// Accept lets writes succeed again.
func (s *Socket) Accept() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusal = nil
	s.wake()
}

// End ends the connection as the peer or the network does. Completions that have not run get err,
// and so do later writes. Use a *net.OpError for a reset; nil means berth.ErrClosed.
func (s *Socket) End(err error) {
	if err == nil {
		err = berth.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(err, err, protocol.ReasonTransportError, protocol.StateClosed)
}
