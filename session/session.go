package session

import (
	"context"
	"errors"
	"fmt"
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

	mu       sync.Mutex
	live     map[string]*Session // the newest connection of each session that has one here
	doubtful map[string]*Session // those that have ended, and have something to undo
	delivers map[string]*turn    // of the Deliver calls of each session
	resumes  map[string]*turn    // of its Resume and TakeOver calls
}

// turn is held by one call at a time, of any connection of one session.
type turn struct {
	held  chan struct{} // has room for one
	users int           // calls, under way or waiting; under the lock of Sessions
}

// mostDoubtful bounds Sessions.doubtful: another process may have taken a session meanwhile, and
// nothing tells this one.
const mostDoubtful = 1024

// New returns the sessions that a store keeps.
func New(store Store, options Options) *Sessions {
	return &Sessions{
		store: store, options: options, live: map[string]*Session{}, doubtful: map[string]*Session{},
		delivers: map[string]*turn{}, resumes: map[string]*turn{},
	}
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

	busy chan struct{} // has room for one: held by the update under way. It guards what follows.
	heads
	next    heads  // as the update under way would leave them
	refused error  // what its change has returned
	unsure  bool   // an update of the heads has failed: the store may have it
	doubt   uint64 // the message of a Deliver among those; 0: none
	over    end
}

// heads are the numbers of a session as the store has confirmed them last. What is beyond them in
// the store is of a call that has returned an error.
type heads struct{ sent, handled uint64 }

func headsOf(state *State) heads { return heads{sent: state.Log.Sent, handled: state.Log.Handled} }

// end is how far a session has ended for its connection.
type end uint8

const (
	running  end = iota
	released     // or lost: nothing is left to do
	closed       // the state says so; the store has not forgotten it yet
)

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
	return s.attach(id, 1, heads{}), Welcome{Token: token, Epoch: 1}, nil
}

// Resume hands the session of a token to the calling connection. epoch is the one that the client
// was told last, and handled the last number of ours that it has handled. The connection that had
// the session until now is fenced. Resumes of one session wait for each other, until ctx is done.
// The error is ErrToken, ErrEpoch or ErrFuture, and then nothing has changed; or that of ctx, or
// the store's own. If the store is not sure, the session may count as connected now, although no
// connection has it. The client may present the same again.
func (s *Sessions) Resume(ctx context.Context, token string, epoch, handled uint64) (*Session, Resumed, error) {
	id, digest, ok := readToken(token)
	if !ok {
		return nil, Resumed{}, ErrToken
	}
	one, resumed, err := s.take(ctx, id, func(state *State) (Resumed, error) {
		if !matches(&digest, &state.Secret) || state.Ended {
			return Resumed{}, ErrToken
		}
		return state.resume(epoch, handled)
	})
	if errors.Is(err, ErrNotFound) {
		err = ErrToken
	}
	return one, resumed, err
}

// TakeOver hands a session to a client that has no token: it has logged in anew, on another device
// for example, and the program knows that the session is its. The old token is void. The client
// begins with what was not acknowledged: it counts as having handled everything up to
// resumed.Acked, and as having sent everything up to resumed.Handled. NewClientAfter makes such a
// client. TakeOver waits as Resume does. The error is ErrNotFound, that of ctx, or the store's own;
// if the store is not sure, the old token may be void.
func (s *Sessions) TakeOver(ctx context.Context, id string) (*Session, Welcome, Resumed, error) {
	named, ok := readID(id)
	if !ok {
		return nil, Welcome{}, Resumed{}, ErrNotFound
	}
	token, digest := newSecret(named)
	one, resumed, err := s.take(ctx, id, func(state *State) (Resumed, error) {
		if state.Ended {
			return Resumed{}, ErrNotFound
		}
		return state.takeOver(digest), nil
	})
	if err != nil {
		return nil, Welcome{}, Resumed{}, err
	}
	return one, Welcome{Token: token, Epoch: resumed.Epoch}, resumed, nil
}

// take hands a session to another connection. What the connection before it, of this process, has
// changed and is not sure of is undone first: so its update under way is waited for. The calls of
// one session come one after another, so that they attach in the order of their epochs.
func (s *Sessions) take(ctx context.Context, id string, change func(*State) (Resumed, error)) (*Session, Resumed, error) {
	turn, err := s.join(ctx, s.resumes, id)
	if err != nil {
		return nil, Resumed{}, err
	}
	defer s.leave(s.resumes, id, turn)
	before := s.before(id)
	if before != nil {
		if err := acquire(ctx, before.busy); err != nil {
			return nil, Resumed{}, err
		}
		defer release(before.busy)
	}
	var resumed Resumed
	var now heads
	undone := false
	err = s.store.Update(ctx, id, func(state *State) (err error) {
		work := *state
		if undone = before != nil && state.Epoch == before.epoch; undone {
			before.undo(&work)
		}
		if resumed, err = change(&work); err != nil {
			return err
		}
		now = headsOf(&work)
		*state = work
		return nil
	})
	if err != nil {
		return nil, Resumed{}, err
	}
	if before != nil {
		before.over = released
	}
	if undone {
		before.unsure, before.doubt = false, 0
	}
	return s.attach(id, resumed.Epoch, now), resumed, nil
}

// before returns the newest connection of a session here that may have something to undo.
func (s *Sessions) before(id string) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	if one := s.live[id]; one != nil {
		return one
	}
	return s.doubtful[id]
}

// Post keeps a message for a client that has no connection now. The client gets it when it comes
// back. The error is ErrAttached, ErrNotFound, ErrLogFull, ErrTooLarge or the store's own. If the
// store is not sure, the client may get the message: to post it again may be to post it twice.
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
	if err != nil {
		return Message{}, err
	}
	return message, nil
}

// attach makes a connection's handle, and fences the one before it.
func (s *Sessions) attach(id string, epoch uint64, now heads) *Session {
	fenced := make(chan struct{})
	one := &Session{sessions: s, id: id, epoch: epoch, heads: now, fenced: fenced, busy: make(chan struct{}, 1)}
	one.lose = sync.OnceFunc(func() { close(fenced) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.live[id]; before != nil {
		before.lose()
	}
	delete(s.doubtful, id)
	s.live[id] = one
	return one
}

// detach ends a connection's handle. The caller holds its busy.
func (s *Sessions) detach(one *Session) {
	one.lose()
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.live[one.id] == one:
		delete(s.live, one.id)
		if !one.unsure {
			return
		}
		for id := range s.doubtful {
			if len(s.doubtful) < mostDoubtful {
				break
			}
			delete(s.doubtful, id)
		}
		s.doubtful[one.id] = one
	case s.doubtful[one.id] == one && !one.unsure:
		delete(s.doubtful, one.id)
	}
}

// join waits for a turn of a session, until ctx is done.
func (s *Sessions) join(ctx context.Context, turns map[string]*turn, id string) (*turn, error) {
	s.mu.Lock()
	t := turns[id]
	if t == nil {
		t = &turn{held: make(chan struct{}, 1)}
		turns[id] = t
	}
	t.users++
	s.mu.Unlock()
	err := acquire(ctx, t.held)
	if err != nil {
		s.quit(turns, id, t)
		return nil, err
	}
	return t, nil
}

// leave ends a turn.
func (s *Sessions) leave(turns map[string]*turn, id string, t *turn) {
	release(t.held)
	s.quit(turns, id, t)
}

func (s *Sessions) quit(turns map[string]*turn, id string, t *turn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t.users--
	if t.users == 0 {
		delete(turns, id)
	}
}

// acquire takes the one place of a channel, and waits for it until ctx is done.
func acquire(ctx context.Context, place chan struct{}) error {
	select {
	case place <- struct{}{}:
		return nil
	default:
	}
	select {
	case place <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func release(place chan struct{}) { <-place }

// ID names the session among those of the store. It is no secret.
func (s *Session) ID() string { return s.id }

// Epoch is that of this connection.
func (s *Session) Epoch() uint64 { return s.epoch }

// Fenced is closed once another connection of this process has taken the session, or a call has
// found that it is lost, or after Release or Close. Where another process takes it, the next call
// finds that.
func (s *Session) Fenced() <-chan struct{} { return s.fenced }

// update changes the state, unless this connection has lost the session. moves says that the change
// may move the heads, and claim is the number of the message that a Deliver claims, else 0.
func (s *Session) update(ctx context.Context, moves bool, claim uint64, change func(*State) error) error {
	if err := acquire(ctx, s.busy); err != nil {
		return err
	}
	defer release(s.busy)
	select {
	case <-s.fenced:
		if s.over == released {
			return s.lost()
		}
		return ErrFenced
	default:
	}
	return s.updateHeld(ctx, moves, claim, change)
}

// updateHeld is update for a caller that holds busy.
func (s *Session) updateHeld(ctx context.Context, moves bool, claim uint64, change func(*State) error) error {
	s.refused = nil
	err := s.sessions.store.Update(ctx, s.id, func(state *State) error {
		if s.refused = s.apply(state, change); s.refused == nil {
			s.next = headsOf(state)
		}
		return s.refused
	})
	switch {
	case err == nil:
		s.heads, s.unsure, s.doubt = s.next, false, 0
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrFenced):
		s.over = released
		err = s.lost()
		s.sessions.detach(s)
	case moves && (s.refused == nil || !errors.Is(err, s.refused)):
		s.unsure = true
		if claim > s.handled {
			s.doubt = claim
		}
	}
	return err
}

// lost is ErrFenced. It names, once, a message whose Deliver has failed, and that was not undone.
func (s *Session) lost() error {
	doubt := s.doubt
	s.unsure, s.doubt = false, 0
	if doubt == 0 {
		return ErrFenced
	}
	return fmt.Errorf("%w; message %d may count as delivered, and was not", ErrFenced, doubt)
}

// apply changes a state if this connection has the session. What the store was not sure of is
// undone before.
func (s *Session) apply(state *State, change func(*State) error) error {
	if err := state.fence(s.epoch); err != nil {
		return err
	}
	if !s.unsure {
		return change(state)
	}
	work := *state
	s.undo(&work)
	if err := change(&work); err != nil {
		return err
	}
	*state = work
	return nil
}

// undo takes back what calls have changed that have returned an error. Nothing else has changed it:
// the epoch is this connection's, and Post is for sessions without one.
func (s *Session) undo(state *State) {
	if s.unsure && state.Epoch == s.epoch && state.Attached && !state.Ended {
		state.Log.back(s.sent, s.handled)
	}
}

// Send numbers a message for the client and keeps it until it is acknowledged. data belongs to the
// session from now on. Once Send returns without an error, the client gets the message, now or
// after a resume, or a resume says that it is lost. The error is ErrLogFull, ErrTooLarge,
// ErrFenced, that of ctx, or the store's own. After an error the message counts as not sent, and
// the next one has its number. If the store was not sure, and no other call of this session gets
// through before another process takes it, then the client may get the message there.
func (s *Session) Send(ctx context.Context, data []byte) (message Message, err error) {
	err = s.update(ctx, true, 0, func(state *State) (err error) {
		message, err = state.Log.send(data)
		return err
	})
	if err != nil {
		return Message{}, err
	}
	return message, nil
}

// Acknowledge takes note that the client has handled our messages up to number. The error is
// ErrFuture, ErrFenced, that of ctx, or the store's own; then it may be called again.
func (s *Session) Acknowledge(ctx context.Context, number uint64) error {
	return s.update(ctx, false, 0, func(state *State) error {
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
// must not call Deliver of its own session. Once it is this call's turn, the end of ctx does not
// stop it: the store bounds how long it takes.
//
// The error is ErrGap, ErrFenced, that of ctx, or the store's own; then handle was not called. If
// the store was not sure whether it has the number, the next call of this session, or a resume in
// this process, takes the number back, and the message may be delivered again. Another process does
// not know of that: where it takes the session before, the client learns there that the message was
// handled. This connection's next call then returns an ErrFenced that names the message.
func (s *Session) Deliver(ctx context.Context, number uint64, handle func()) (fresh bool, err error) {
	turn, err := s.sessions.join(ctx, s.sessions.delivers, s.id)
	if err != nil {
		return false, err
	}
	defer s.sessions.leave(s.sessions.delivers, s.id, turn)
	if err := ctx.Err(); err != nil {
		return false, err
	}
	err = s.update(context.WithoutCancel(ctx), true, number, func(state *State) (err error) {
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
// (see Client.Resumed). It returns which of them were not delivered. The error is ErrFenced, that
// of ctx, or the store's own; then it may be called again.
func (s *Session) Skip(ctx context.Context, number uint64) (lost Range, err error) {
	err = s.update(ctx, true, 0, func(state *State) error {
		lost = state.Log.skip(number)
		state.Confirmed = true
		return nil
	})
	if err != nil {
		return Range{}, err
	}
	return lost, nil
}

// Release says that the connection has ended, whatever it returns: all other calls but Close
// return ErrFenced from then on. The session waits for its client. It is no error if another
// connection has it already, unless a Deliver's message may be lost by that (see there). The error
// may also be that of ctx or the store's own: then the session counts as connected in the store,
// and Release may be called again.
func (s *Session) Release(ctx context.Context) error {
	err := s.finish(ctx, func(state *State) { state.Attached = false }, released)
	if err == ErrFenced { //nolint:errorlint // one that says more is an error
		return nil
	}
	return err
}

// Close ends the session: the client is not expected back. The error is ErrFenced, that of ctx, or
// the store's own; unless it is ErrFenced, Close may be called again.
func (s *Session) Close(ctx context.Context) error {
	// In one step with the fence: another connection may be about to take it. And should the store
	// not forget it now, it expires.
	err := s.finish(ctx, func(state *State) { state.Ended, state.Attached = true, false }, closed)
	if err != nil {
		return err
	}
	if err := s.sessions.store.Delete(ctx, s.id); err != nil {
		return err
	}
	s.busy <- struct{}{}
	defer release(s.busy)
	s.over = released
	return nil
}

// finish ends the session for this connection, also where the store fails: then it may be tried
// again. It waits for the call under way, which the store bounds: a change that it undoes must not
// come after it.
func (s *Session) finish(ctx context.Context, change func(*State), over end) error {
	s.busy <- struct{}{}
	defer release(s.busy)
	switch s.over {
	case released:
		return s.lost()
	case closed:
		if over == closed {
			return nil
		}
		return ErrFenced
	}
	err := s.updateHeld(ctx, false, 0, func(state *State) error {
		change(state)
		return nil
	})
	if err == nil {
		s.over = over
	}
	s.sessions.detach(s)
	return err
}
