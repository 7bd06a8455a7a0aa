package session

import "crypto/sha256"

// State is what a Store keeps of one session. It is plain data.
type State struct {
	ID     string            // the part of the token that names it
	Secret [sha256.Size]byte // digest of the other part
	Epoch  uint64            // of the connection that has the session; grows with each

	// Presented is the epoch with which that connection was resumed. Until its client is heard
	// (Confirmed), a resume with it, or with a later one, is accepted again: the answer may have
	// been lost, and a resume that the client has given up may come late.
	Presented uint64
	Confirmed bool
	Attached  bool // the connection has not ended yet
	Ended     bool // the session was closed; the store has not forgotten it yet

	Log Log
}

// Resumed is the answer to a client that comes back, or to a new one.
type Resumed struct {
	Epoch     uint64    // to be presented at the next resume
	Recovered bool      // nothing is lost: Again has everything that the client has not handled
	Lost      Range     // numbers of ours that the client will never get
	Handled   uint64    // the last number of the client's that was delivered
	Acked     uint64    // the last number of ours that the client has acknowledged
	Again     []Message // to be sent again, in this order, before anything else
}

// resume hands the session to another connection.
func (s *State) resume(epoch, handled uint64) (Resumed, error) {
	switch {
	case epoch > s.Epoch || handled > s.Log.Sent:
		return Resumed{}, ErrFuture
	case epoch != s.Epoch && (epoch < s.Presented || s.Confirmed):
		return Resumed{}, ErrEpoch
	}
	again, lost, err := s.Log.resume(handled)
	if err != nil {
		return Resumed{}, err
	}
	if epoch == s.Epoch { // the client knows of it
		s.Presented = epoch
	}
	s.Epoch++
	s.Confirmed, s.Attached = false, true
	return Resumed{Epoch: s.Epoch, Recovered: lost.Len() == 0, Lost: lost, Handled: s.Log.Handled, Acked: s.Log.Acked, Again: again}, nil
}

// takeOver hands it to a client that has another secret from now on, and has handled nothing but
// what was acknowledged.
func (s *State) takeOver(secret [sha256.Size]byte) Resumed {
	s.Epoch++
	s.Secret, s.Presented, s.Confirmed, s.Attached = secret, s.Epoch, true, true
	again, lost, _ := s.Log.resume(s.Log.Acked)
	return Resumed{Epoch: s.Epoch, Recovered: lost.Len() == 0, Lost: lost, Handled: s.Log.Handled, Acked: s.Log.Acked, Again: again}
}

// fence refuses a connection that does not have the session any more.
func (s *State) fence(epoch uint64) error {
	if s.Epoch != epoch {
		return ErrFenced
	}
	return nil
}
