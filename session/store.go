package session

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Store keeps the sessions. Its methods may be called by any goroutine.
type Store interface {
	// Insert keeps a new session. The error is ErrStoreFull where there is no room, or one of the
	// store's own.
	Insert(ctx context.Context, state State) error
	// Update changes one session: all of what change does, or nothing where change fails. Updates
	// of one session come one after another. The error is ErrNotFound, that of change as it is, or
	// one of the store's own. A store on other machines may call change again with a newer state;
	// change depends on the state alone, and does not block.
	//
	// After an error of the store's own the change is stored or not, and its text says so if the
	// store does not know which. It is not stored any more after a later Update of this session
	// has returned something else. Update returns in a bounded time also where ctx never ends:
	// Deliver calls it so. The end of ctx should not leave a change under way behind, if the store
	// can know in a short time whether it is stored.
	Update(ctx context.Context, id string, change func(*State) error) error
	// Delete forgets a session. It is not an error if there is none.
	Delete(ctx context.Context, id string) error
}

// MemoryOptions of a Memory. 0 is the default.
type MemoryOptions struct {
	// Sessions is the most sessions. Each holds at most Limits.Bytes of messages. Default 10,000.
	Sessions int
	// Expiry is how long a session without a connection is kept. Default 5 minutes.
	Expiry time.Duration
}

// Memory is a Store for one process. It has no goroutine: what has expired is removed when another
// session is inserted, and not found from its expiry on.
type Memory struct {
	options MemoryOptions

	mu       sync.Mutex
	sessions map[string]*kept
	waiting  *list.List // of *kept: those without a connection, the longest waiting first
}

// kept is a session in a Memory.
type kept struct {
	id      string
	mu      sync.Mutex
	state   State
	waits   *list.Element // nil while it has a connection; under the Memory's lock
	expires time.Time     // likewise
}

// NewMemory returns an empty store.
func NewMemory(options MemoryOptions) *Memory {
	if options.Sessions <= 0 {
		options.Sessions = 10_000
	}
	if options.Expiry <= 0 {
		options.Expiry = 5 * time.Minute
	}
	return &Memory{options: options, sessions: map[string]*kept{}, waiting: list.New()}
}

// Insert implements Store.
func (m *Memory) Insert(_ context.Context, state State) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expireLocked()
	if len(m.sessions) >= m.options.Sessions {
		return ErrStoreFull
	}
	k := &kept{id: state.ID, state: state}
	m.sessions[state.ID] = k
	m.noteLocked(k, state.Attached)
	return nil
}

// Update implements Store.
func (m *Memory) Update(_ context.Context, id string, change func(*State) error) error {
	m.mu.Lock()
	m.expireLocked()
	k, found := m.sessions[id]
	m.mu.Unlock()
	if !found {
		return ErrNotFound
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	before, changed := k.state, false
	defer func() { // a change that panics has changed nothing either
		if !changed {
			k.state = before
		}
	}()
	if err := change(&k.state); err != nil {
		return err
	}
	changed = true
	if k.state.Attached == before.Attached {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[id] != k {
		return ErrNotFound // it has expired, or was deleted, meanwhile
	}
	m.noteLocked(k, k.state.Attached)
	return nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k, found := m.sessions[id]; found {
		m.removeLocked(k)
	}
	return nil
}

// Len returns how many sessions there are.
func (m *Memory) Len() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.expireLocked()
	return len(m.sessions)
}

// noteLocked begins the wait of a session without a connection, or ends it.
func (m *Memory) noteLocked(k *kept, attached bool) {
	if k.waits != nil {
		m.waiting.Remove(k.waits)
		k.waits = nil
	}
	if !attached {
		k.expires = time.Now().Add(m.options.Expiry)
		k.waits = m.waiting.PushBack(k)
	}
}

func (m *Memory) removeLocked(k *kept) {
	m.noteLocked(k, true)
	delete(m.sessions, k.id)
}

func (m *Memory) expireLocked() {
	for first := m.waiting.Front(); first != nil; first = m.waiting.Front() {
		k := first.Value.(*kept)
		if time.Now().Before(k.expires) {
			return
		}
		m.removeLocked(k)
	}
}
