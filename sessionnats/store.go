package sessionnats

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"net/url"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/go-berth/berth/session"
)

// Options of a Store. 0 is the default.
type Options struct {
	// URLs name a cluster outside of this process, "nats://10.0.0.1:4222", of NATS 2.11 or later.
	// Without them the store starts a node in this process, which ends with it.
	URLs []string
	// Node are the options of that node.
	Node NodeOptions
	// Connect are further options of the connection to the nodes: credentials, TLS.
	Connect []nats.Option

	// Bucket is the name of the stream that has the sessions: letters, digits, "-" and "_". Default
	// "berth-sessions".
	Bucket string
	// Replicas is how many nodes keep each session. Default 3 in a cluster, 1 at a node alone.
	Replicas int
	// Sessions is the most sessions of all processes together; those that are inserted at the same
	// moment may exceed it. Default 1,000,000.
	Sessions int64
	// Expiry is how long a session without a connection is kept, in steps of a second. Default 5
	// minutes.
	Expiry time.Duration
	// Attached is how long a session is kept that has a connection and does not change: its
	// gateway may have been killed. An Acknowledge is a change, also of a number from before.
	// Default 24 hours.
	Attached time.Duration
	// Timeout bounds each call, beside its ctx; a request that is under way then is waited for,
	// half a second at most, and a second more for each MiB. Default 10 s: when the leader of the
	// nodes is killed, the others wait for 4 to 9 s before one of them asks for votes. One that
	// ends in an orderly way hands over at once.
	Timeout time.Duration
	// Cache is how many sessions are remembered as they were stored last, so that an update needs
	// no read before it. Negative: none. Default 4,096.
	Cache int
}

func (o Options) withDefaults() Options {
	if o.Bucket == "" {
		o.Bucket = "berth-sessions"
	}
	if o.Sessions <= 0 {
		o.Sessions = 1_000_000
	}
	if o.Expiry <= 0 {
		o.Expiry = 5 * time.Minute
	}
	if o.Attached <= 0 {
		o.Attached = 24 * time.Hour
	}
	if o.Timeout <= 0 {
		o.Timeout = 10 * time.Second
	}
	if o.Cache == 0 {
		o.Cache = 4096
	}
	return o
}

// gone is how long the note is kept that a session is not there: as short as the server allows.
const gone = time.Second

// Store keeps sessions in JetStream. It implements session.Store. It has the goroutines of its
// connection to the nodes, and those of its node, which end with Close.
type Store struct {
	options Options
	node    *Node // of ours; nil: outside
	conn    *nats.Conn
	stream  *Stream
	cache   *lru.Cache[string, version] // nil: none

	// Updates of one session wait for each other here rather than meet at the leader.
	seed  maphash.Seed
	turns [1024]chan struct{}
}

// version is a session as it was stored with a sequence. Empty data: it is not there.
type version struct {
	sequence uint64
	data     []byte
}

var _ session.Store = (*Store)(nil)

// Open opens a store. It waits for a quorum of the nodes, until ctx is done or, where ctx has no
// deadline, for 30 s. The error is of the options, of the node, ErrFull or ErrUnavailable; then
// nothing is left.
func Open(ctx context.Context, options Options) (_ *Store, err error) {
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
	}
	s := &Store{seed: maphash.MakeSeed()}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	connect := []nats.Option{
		nats.Name("berth"), nats.MaxReconnects(-1), nats.ReconnectWait(50 * time.Millisecond), nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.Timeout(2 * time.Second), nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2),
		nats.ReconnectBufSize(-1), // what is sent while there is no connection fails at once
	}
	if len(options.URLs) == 0 {
		if s.node, err = StartNode(ctx, options.Node); err != nil {
			return nil, err
		}
		connect = append(connect, s.node.connect()...)
		options.URLs = []string{s.node.URL()}
	}
	s.options = options.withDefaults()
	dial, err := s.options.dial(connect)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(s.options.Bucket, func(r rune) bool { return !nameRune(r) }) {
		return nil, fmt.Errorf("sessionnats: bucket %q: a name has letters, digits, - and _ only", s.options.Bucket)
	}
	if s.options.Cache > 0 {
		if s.cache, err = lru.New[string, version](s.options.Cache); err != nil {
			return nil, err
		}
	}
	for i := range s.turns {
		s.turns[i] = make(chan struct{}, 1)
	}
	for {
		if s.conn, err = dial.Connect(); err == nil {
			break
		}
		if errors.Is(err, nats.ErrAuthorization) || !wait(ctx, 50*time.Millisecond) {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	if s.options.Replicas <= 0 {
		s.options.Replicas = 3
		if s.conn.ConnectedClusterName() == "" {
			s.options.Replicas = 1
		}
	}
	s.stream, err = OpenStream(ctx, s.conn, jetstream.StreamConfig{
		Name: s.options.Bucket, Description: "sessions of Berth", Subjects: []string{s.options.Bucket + ".*"}, Replicas: s.options.Replicas,
		MaxMsgsPerSubject: 1, AllowMsgTTL: true,
		Duplicates: max(30*time.Second, 2*s.options.Timeout), // the ids of messages take memory
	})
	if err != nil {
		return nil, err
	}
	return s, nil
}

// dial returns the options of the connection: what is wrong with them is an error at once.
func (o Options) dial(connect []nats.Option) (nats.Options, error) {
	dial := nats.GetDefaultOptions()
	for _, text := range o.URLs {
		for text := range strings.SplitSeq(text, ",") {
			text = strings.TrimSpace(text)
			parsed := text
			if !strings.Contains(text, "://") {
				parsed = "nats://" + text
			}
			if address, err := url.Parse(parsed); err != nil || address.Hostname() == "" {
				return dial, fmt.Errorf("sessionnats: %q is no URL of a node, as nats://10.0.0.1:4222 is", text)
			}
			dial.Servers = append(dial.Servers, text)
		}
	}
	for _, option := range append(connect, o.Connect...) {
		if option == nil {
			continue
		}
		if err := option(&dial); err != nil {
			return dial, fmt.Errorf("sessionnats: an option of the connection: %w", err)
		}
	}
	return dial, nil
}

// Conn returns the connection to the nodes, for what else a program keeps there. It ends with the
// store.
func (s *Store) Conn() *nats.Conn { return s.conn }

// Node returns the store's own node, nil if there is none.
func (s *Store) Node() *Node { return s.node }

// Stream returns the stream that has the sessions.
func (s *Store) Stream() *Stream { return s.stream }

// Replicas returns how many nodes keep each session.
func (s *Store) Replicas() int { return s.options.Replicas }

// Close ends the connection, and the node that Open has started. Calls under way return an error.
func (s *Store) Close() {
	if s.conn != nil {
		s.conn.Close()
	}
	if s.node != nil {
		s.node.Close()
	}
}

func nameRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
}

// valid reports whether an id can be that of a session.
func valid(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(r rune) bool { return !nameRune(r) })
}

// begin takes the session's turn, until end is called, and bounds the call.
func (s *Store) begin(ctx context.Context, id string) (_ context.Context, end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, s.options.Timeout)
	turn := s.turns[maphash.String(s.seed, id)%uint64(len(s.turns))]
	select {
	case turn <- struct{}{}:
		if ctx.Err() == nil {
			return ctx, func() { <-turn; cancel() }, nil
		}
		<-turn
	case <-ctx.Done():
	}
	defer cancel()
	return nil, nil, fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
}

// fits refuses a session that could grow beyond what the nodes take.
func (s *Store) fits(limits session.Limits) error {
	if limits.Bytes <= 0 {
		return nil // the default is small
	}
	const fixed, each = 1024, 8 // each: the quotes, the comma and the padding of a message; more than it is
	messages := limits.Messages
	if messages <= 0 {
		messages = 256
	}
	most, limit := int64(fixed)+4*((int64(limits.Bytes)+2)/3)+each*int64(messages), s.conn.MaxPayload()
	if limit > 0 && most > limit {
		return fmt.Errorf("%w: with limits of %d messages and %d bytes a session takes up to %d bytes, the nodes take %d",
			ErrTooLarge, messages, limits.Bytes, most, limit)
	}
	return nil
}

// Insert implements session.Store. The error is session.ErrStoreFull, ErrTooLarge if the session's
// limits allow more than the nodes take, ErrConflict if there is a session with this id, ErrFull,
// ErrUnavailable or ErrUnsure.
func (s *Store) Insert(ctx context.Context, state session.State) error {
	if !valid(state.ID) {
		return fmt.Errorf("sessionnats: session %q: an id has up to 64 letters, digits, - and _", state.ID)
	}
	ctx, end, err := s.begin(ctx, state.ID)
	if err != nil {
		return err
	}
	defer end()
	if err := s.fits(state.Log.Capacity); err != nil {
		return err
	}
	expires := time.Now().Add(s.lifetime(&state))
	data, err := encode(&state, expires)
	if err != nil {
		return err
	}
	if err := s.room(ctx); err != nil {
		return err
	}
	for now := (version{}); ; {
		if err = s.put(ctx, state.ID, now, data, expires); !errors.Is(err, ErrConflict) || errors.Is(err, ErrUnsure) {
			return err
		}
		last, lastErr := s.stream.Last(ctx, s.subject(state.ID))
		switch {
		case lastErr != nil:
			return lastErr
		case last == nil:
			now = version{}
		case len(last.Data) == 0: // the note that it is not there
			now = version{sequence: last.Sequence}
		default:
			return err
		}
		if !wait(ctx, 5*time.Millisecond) {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// room returns session.ErrStoreFull if there is none for another session.
func (s *Store) room(ctx context.Context) error {
	info, err := s.stream.info(ctx)
	if err != nil {
		return err
	}
	sessions, most := info.State.Msgs, uint64(s.options.Sessions)
	if sessions == most { // one of them may be the note
		note, err := s.stream.Last(ctx, s.subject(absent))
		if err != nil {
			return err
		}
		if note != nil {
			sessions--
		}
	}
	if sessions >= most {
		return session.ErrStoreFull
	}
	return nil
}

func (s *Store) lifetime(state *session.State) time.Duration {
	if state.Attached {
		return s.options.Attached
	}
	return s.options.Expiry
}

// Update implements session.Store. The error is session.ErrNotFound, that of change as it is,
// ErrFull, ErrTooLarge, ErrUnavailable or ErrUnsure.
//
// Every answer is confirmed by storing something, also session.ErrNotFound and an error of
// change's: what the answer rests on was the newest version then. So a version from the cache, or
// from a leader that has lost its place, may be old, and costs one attempt more. Of a session that
// is not there a note is stored, on one subject for all: so ids that are made up take no room.
func (s *Store) Update(ctx context.Context, id string, change func(*session.State) error) error {
	if !valid(id) {
		return session.ErrNotFound
	}
	ctx, end, err := s.begin(ctx, id)
	if err != nil {
		return err
	}
	defer end()
	for {
		now, err := s.version(ctx, id)
		if err != nil {
			return err
		}
		next, expires, answer := s.changed(id, now, change)
		if len(now.data) == 0 {
			err = s.note(ctx, id, now)
		} else {
			err = s.put(ctx, id, now, next, expires)
		}
		if !errors.Is(err, ErrConflict) || errors.Is(err, ErrUnsure) {
			if err != nil {
				return err
			}
			return answer
		}
		if !wait(ctx, 5*time.Millisecond) { // another process works on it
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// changed returns what is to be stored, and the answer that it confirms.
func (s *Store) changed(id string, now version, change func(*session.State) error) (next []byte, expires time.Time, answer error) {
	if len(now.data) == 0 {
		return nil, time.Time{}, session.ErrNotFound
	}
	state, expires, err := decode(id, now.data)
	if err != nil {
		return now.data, time.Now().Add(s.options.Attached), err
	}
	attached := state.Attached
	if !time.Now().Before(expires) {
		return nil, time.Time{}, session.ErrNotFound // the node has not removed it yet
	}
	if err := change(&state); err != nil {
		return now.data, expires, err
	}
	if attached || state.Attached {
		expires = time.Now().Add(s.lifetime(&state))
	}
	if next, err = encode(&state, expires); err != nil {
		return now.data, expires, err
	}
	return next, expires, nil
}

// Delete implements session.Store. The error is ErrUnavailable or ErrUnsure.
func (s *Store) Delete(ctx context.Context, id string) error {
	if !valid(id) {
		return nil
	}
	ctx, end, err := s.begin(ctx, id)
	if err != nil {
		return err
	}
	defer end()
	s.forget(id)
	_, err = s.stream.publish(ctx, Message{Subject: s.subject(id), TTL: gone})
	return err
}

func (s *Store) subject(id string) string { return s.options.Bucket + "." + id }

// version returns the session as it was stored last, as far as is known.
func (s *Store) version(ctx context.Context, id string) (version, error) {
	if s.cache != nil {
		if now, found := s.cache.Get(id); found {
			return now, nil
		}
	}
	last, err := s.stream.Last(ctx, s.subject(id))
	if err != nil || last == nil {
		return version{}, err
	}
	return version{last.Sequence, last.Data}, nil
}

// put stores data in the place of a version. No data: the session is not there.
func (s *Store) put(ctx context.Context, id string, now version, data []byte, expires time.Time) error {
	ttl := gone
	if len(data) > 0 {
		ttl = max(gone, time.Until(expires).Round(time.Second))
	}
	sequence, err := s.stream.Append(ctx, Message{Subject: s.subject(id), Data: data, TTL: ttl}, now.sequence)
	switch {
	case err != nil:
		s.forget(id)
		return err
	case s.cache != nil && len(data) > 0:
		s.cache.Add(id, version{sequence, data})
	default:
		s.forget(id)
	}
	return nil
}

// absent is where the note is, below the bucket. It can be no id.
const absent = "~"

// note confirms that a session is not there, with a version of no data.
func (s *Store) note(ctx context.Context, id string, now version) error {
	s.forget(id)
	_, err := s.stream.publish(ctx, Message{Subject: s.subject(absent), TTL: gone}, jetstream.WithExpectLastSequenceForSubject(now.sequence, s.subject(id)))
	if errors.Is(err, ErrConflict) {
		return ErrConflict // whether an earlier attempt has left a note or not
	}
	return err
}

func (s *Store) forget(id string) {
	if s.cache != nil {
		s.cache.Remove(id)
	}
}
