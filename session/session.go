package session

import (
	"context"
	"errors"
	"sync"
)

// Options of Sessions. 0 is the default.
type Options struct {
	// Limits of what the server keeps for each client.
	Limits Limits
}

// Sessions are those of one server. Its methods may be called by any goroutine.
type Sessions struct {
	store   Store
	options Options

	mu    sync.Mutex
	live  map[string]*Session // the newest connection of each session that has one here
	turns map[string]*turn
}

// turn is held by the Deliver under way, of any connection of one session.
type turn struct {
	held  chan struct{} // has room for one
	users int           // Deliver calls, under way or waiting; under the lock of Sessions
}

// New returns the sessions that a store keeps.
func New(store Store, options Options) *Sessions {
	return &Sessions{store: store, options: options, live: map[string]*Session{}, turns: map[string]*turn{}}
}

// Session is a session as one connection has it. Its methods may be called by any goroutine. The
// messages of Send are written to the connection in the order of their numbers: so Send is called
// where the connection's writes are, on its turn for example.
type Session struct {
	sessions *Sessions
	id       string
	epoch    uint64
	fenced   chan struct{} // closed when the session is lost
	lose     func()
}

// Welcome is the answer to a new client.
type Welcome struct {
	Token string // the client's secret: it goes over an encrypted connection only
	Epoch uint64
}

// Open begins a session. The error is ErrStoreFull, or the store's own.
func (s *Sessions) Open(ctx context.Context) (*Session, Welcome, error) {
	token, id, digest := newToken()
	state := State{
		ID: id, Secret: digest, Epoch: 1, Presented: 1, Confirmed: true, Attached: true, Log: Log{Capacity: s.options.Limits},
	}
	if err := s.store.Insert(ctx, state); err != nil {
		return nil, Welcome{}, err
	}
	return s.attach(id, 1), Welcome{Token: token, Epoch: 1}, nil
}

// Resume hands the session of a token to the calling connection. epoch is the one that the client
// was told last, and handled the last number of ours that it has handled. The connection that had
// the session until now is fenced. The error is ErrToken, ErrEpoch, ErrFuture or the store's own;
// then nothing has changed.
func (s *Sessions) Resume(ctx context.Context, token string, epoch, handled uint64) (*Session, Resumed, error) {
	id, digest, ok := readToken(token)
	if !ok {
		return nil, Resumed{}, ErrToken
	}
	var resumed Resumed
	err := s.store.Update(ctx, id, func(state *State) (err error) {
		if !matches(&digest, &state.Secret) || state.Ended {
			return ErrToken
		}
		resumed, err = state.resume(epoch, handled)
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = ErrToken
	}
	if err != nil {
		return nil, Resumed{}, err
	}
	return s.attach(id, resumed.Epoch), resumed, nil
}

// TakeOver hands a session to a client that has no token: it has logged in anew, on another device
// for example, and the program knows that the session is its. The old token is void. The client
// begins with what was not acknowledged: it has handled everything before resumed.Again, and the
// last number that it has sent counts as resumed.Handled. The error is ErrNotFound or the store's
// own.
func (s *Sessions) TakeOver(ctx context.Context, id string) (*Session, Welcome, Resumed, error) {
	named, ok := readID(id)
	if !ok {
		return nil, Welcome{}, Resumed{}, ErrNotFound
	}
	token, digest := newSecret(named)
	var resumed Resumed
	err := s.store.Update(ctx, id, func(state *State) error {
		if state.Ended {
			return ErrNotFound
		}
		resumed = state.takeOver(digest)
		return nil
	})
	if err != nil {
		return nil, Welcome{}, Resumed{}, err
	}
	return s.attach(id, resumed.Epoch), Welcome{Token: token, Epoch: resumed.Epoch}, resumed, nil
}

// Post keeps a message for a client that has no connection now. The client gets it when it comes
// back. The error is ErrAttached, ErrNotFound, ErrLogFull, ErrTooLarge or the store's own.
func (s *Sessions) Post(ctx context.Context, id string, data []byte) (message Message, err error) {
	err = s.store.Update(ctx, id, func(state *State) (err error) {
		switch {
		case state.Ended:
			return ErrNotFound
		case state.Attached:
			return ErrAttached
		}
		message, err = state.Log.send(data)
		return err
	})
	return message, err
}

// attach makes a connection's handle, and fences the one before it.
func (s *Sessions) attach(id string, epoch uint64) *Session {
	fenced := make(chan struct{})
	one := &Session{sessions: s, id: id, epoch: epoch, fenced: fenced}
	one.lose = sync.OnceFunc(func() { close(fenced) })
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.live[id]
	if before == nil {
		s.live[id] = one
		return one
	}
	if before.epoch > epoch { // a newer one was quicker
		one.lose()
		return one
	}
	before.lose()
	s.live[id] = one
	return one
}

func (s *Sessions) detach(one *Session) {
	one.lose()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live[one.id] == one {
		delete(s.live, one.id)
	}
}

func (s *Sessions) join(id string) *turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.turns[id]
	if t == nil {
		t = &turn{held: make(chan struct{}, 1)}
		s.turns[id] = t
	}
	t.users++
	return t
}

func (s *Sessions) leave(id string, t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.users--
	if t.users == 0 {
		delete(s.turns, id)
	}
}

// ID names the session among those of the store. It is no secret.
func (s *Session) ID() string { return s.id }

// Epoch is that of this connection.
func (s *Session) Epoch() uint64 { return s.epoch }

// Fenced is closed once another connection of this process has taken the session, or a call has
// found that it is lost, or after Release or Close. Where another process takes it, the next call
// finds that.
func (s *Session) Fenced() <-chan struct{} { return s.fenced }

// update changes the state, unless this connection has lost the session.
func (s *Session) update(ctx context.Context, change func(*State) error) error {
	select {
	case <-s.fenced:
		return ErrFenced
	default:
	}
	err := s.sessions.store.Update(ctx, s.id, func(state *State) error {
		if err := state.fence(s.epoch); err != nil {
			return err
		}
		return change(state)
	})
	if errors.Is(err, ErrNotFound) {
		err = ErrFenced
	}
	if errors.Is(err, ErrFenced) {
		s.sessions.detach(s)
	}
	return err
}

// Send numbers a message for the client and keeps it until it is acknowledged. data belongs to the
// session from now on. Once Send returns without an error, the client gets the message, now or
// after a resume, or a resume says that it is lost. The error is ErrLogFull, ErrTooLarge, ErrFenced
// or the store's own.
func (s *Session) Send(ctx context.Context, data []byte) (message Message, err error) {
	err = s.update(ctx, func(state *State) (err error) {
		message, err = state.Log.send(data)
		return err
	})
	if err != nil {
		return Message{}, err
	}
	return message, nil
}

// Acknowledge takes note that the client has handled our messages up to number. The error is
// ErrFuture, ErrFenced or the store's own.
func (s *Session) Acknowledge(ctx context.Context, number uint64) error {
	return s.update(ctx, func(state *State) error {
		if err := state.Log.acknowledge(number); err != nil {
			return err
		}
		state.Confirmed = true
		return nil
	})
}

// Deliver calls handle for the client's message with this number, unless it was delivered before.
// After it the program acknowledges the number to the client, in both cases. Calls of one session
// wait for each other, also those of its old connection in this process, until ctx is done; handle
// must not call Deliver of its own session. The error is ErrGap, ErrFenced, that of ctx, or the
// store's own; then handle was not called.
func (s *Session) Deliver(ctx context.Context, number uint64, handle func()) (fresh bool, err error) {
	turn := s.sessions.join(s.id)
	defer s.sessions.leave(s.id, turn)
	select {
	case turn.held <- struct{}{}:
	case <-ctx.Done():
		return false, ctx.Err()
	}
	defer func() { <-turn.held }()
	err = s.update(ctx, func(state *State) (err error) {
		fresh, err = state.Log.receive(number)
		if err == nil {
			state.Confirmed = true
		}
		return err
	})
	if err != nil {
		return false, err
	}
	if fresh {
		handle()
	}
	return fresh, nil
}

// Skip takes note that the client has lost its messages up to number: it says so after a resume
// (see Client.Resumed). It returns which of them were not delivered. The error is ErrFenced or the
// store's own.
func (s *Session) Skip(ctx context.Context, number uint64) (lost Range, err error) {
	err = s.update(ctx, func(state *State) error {
		lost = state.Log.skip(number)
		state.Confirmed = true
		return nil
	})
	return lost, err
}

// Release says that the connection has ended. The session waits for its client. It is no error if
// another connection has it already.
func (s *Session) Release(ctx context.Context) error {
	err := s.update(ctx, func(state *State) error {
		state.Attached = false
		return nil
	})
	s.sessions.detach(s)
	if errors.Is(err, ErrFenced) {
		return nil
	}
	return err
}

// Close ends the session: the client is not expected back. The error is ErrFenced or the store's
// own.
func (s *Session) Close(ctx context.Context) error {
	if err := s.update(ctx, func(state *State) error {
		state.Ended = true // in one step with the fence: another connection may be about to take it
		return nil
	}); err != nil {
		return err
	}
	s.sessions.detach(s)
	return s.sessions.store.Delete(ctx, s.id)
}
