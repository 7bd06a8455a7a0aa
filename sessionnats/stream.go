package sessionnats

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// Errors that callers branch on with errors.Is.
var (
	// ErrUnavailable says that no quorum has answered in time. Nothing has changed.
	ErrUnavailable = errors.New("sessionnats: no quorum of the store answers, nothing has changed")
	// ErrUnsure says that a change was sent and no quorum has confirmed it in time. It may be
	// stored, or be stored later, or not at all.
	ErrUnsure = errors.New("sessionnats: no quorum has confirmed the change, it may be stored or not")
	// ErrConflict says that the last message of a subject is another than the caller has named.
	// Nothing has changed.
	ErrConflict = errors.New("sessionnats: another change was first")
	// ErrFull says that the stream, or the node, has as much as it may have, or that no node leads
	// because they have. Nothing has changed. All calls end so until there is room: messages
	// expire, or a node starts with more.
	ErrFull = errors.New("sessionnats: the stream is full")
	// ErrTooLarge says that a message, or a session with what it keeps for its client, is larger
	// than a message of NATS may be. Nothing has changed.
	ErrTooLarge = errors.New("sessionnats: larger than a message of NATS may be")
	// ErrRefused says that the nodes will never store a message: its subject, its headers or its
	// TTL are not such as the stream takes. Nothing has changed.
	ErrRefused = errors.New("sessionnats: the stream does not take this message")
)

// attempt is how long one request may take before it is sent again: a node may have been killed
// with the request in it. One with data has a second more for each MiB.
const attempt = 500 * time.Millisecond

func attemptOf(data []byte) time.Duration {
	return attempt + time.Duration(len(data))*time.Second/(1<<20)
}

// Stream is a stream of JetStream in which every message names the one before it on its subject. A
// program may keep streams of its own beside its sessions. Its methods may be called by any
// goroutine.
type Stream struct {
	js     jetstream.JetStream
	stream jetstream.Stream

	// full says that the node that led was full when it answered last. It leads no more, and no
	// full node asks for votes: there may be no answer until there is room.
	full atomic.Bool
}

// OpenStream opens a stream, which it creates where there is none. One that is there must have the
// same number of messages for each subject, and the same permissions. Reads go to the leader: a
// copy may be behind. While the nodes do not answer it tries again, until ctx is done. What they
// refuse, as more replicas than there are nodes can be, is an error at once.
func OpenStream(ctx context.Context, conn *nats.Conn, config jetstream.StreamConfig) (*Stream, error) {
	js, err := jetstream.New(conn)
	if err != nil {
		return nil, err
	}
	config.AllowDirect = false
	for limit := attempt / 8; ; limit = min(2*limit, 4*attempt) { // nodes that have no leader yet do not answer
		one, cancel := context.WithTimeout(ctx, limit)
		stream, err := js.CreateStream(one, config)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			stream, err = js.Stream(one, config.Name)
		}
		cancel()
		if err == nil {
			if err := compatible(stream.CachedInfo().Config, config); err != nil {
				return nil, err
			}
			return &Stream{js: js, stream: stream}, nil
		}
		if final := unfit(err, config); final != nil {
			return nil, final
		}
		if !again(ctx, 50*time.Millisecond, err) {
			return nil, fmt.Errorf("%w: stream %s: %w", ErrUnavailable, config.Name, err)
		}
	}
}

// unfit returns the error of a stream that there will never be, as it is; else nil.
func unfit(err error, config jetstream.StreamConfig) error {
	answer, isAPI := errors.AsType[*jetstream.APIError](err)
	switch {
	case errors.Is(err, jetstream.ErrInvalidStreamName), errors.Is(err, jetstream.ErrStreamNameRequired):
	case !isAPI:
		return nil
	case answer.ErrorCode == noReplicas:
		return fmt.Errorf("sessionnats: stream %s: %d replicas need a cluster of nodes, and the node is alone: %w", config.Name, config.Replicas, err)
	case answer.ErrorCode == noStorage:
		return fmt.Errorf("%w: stream %s: %w", ErrFull, config.Name, err)
	case answer.ErrorCode == noPeers: // nodes may still come
		return nil
	case answer.Code != 400 && answer.ErrorCode != badConfig:
		return nil
	}
	return fmt.Errorf("sessionnats: stream %s: %w", config.Name, err)
}

// compatible compares what the guarantees rest on.
func compatible(have, want jetstream.StreamConfig) error {
	if have.MaxMsgsPerSubject != want.MaxMsgsPerSubject || have.AllowMsgTTL != want.AllowMsgTTL || have.AllowDirect || have.Discard != want.Discard {
		return fmt.Errorf("sessionnats: stream %s has other settings: another program's, or a server older than 2.11", want.Name)
	}
	return nil
}

// wait waits for about d and reports whether ctx is not done.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d/2 + rand.N(d))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// again waits for another try, and reports whether there is one: not after the end of ctx, nor
// after the store's.
func again(ctx context.Context, d time.Duration, err error) bool {
	return !errors.Is(err, nats.ErrConnectionClosed) && wait(ctx, d)
}

// Message is what Append stores.
type Message struct {
	Subject string
	Header  nats.Header // may be nil
	Data    []byte
	TTL     time.Duration // 0: as long as the stream keeps it; else at least 1 s
}

// Append stores a message if the last one of its subject has the sequence after; 0: if there is
// none. It returns the message's own sequence once a quorum has it. While the nodes do not answer
// it tries again, until ctx is done, and never stores the message twice. A try that is under way
// when ctx ends is waited for, half a second at most, and a second more for each MiB: ErrUnsure is
// for nodes that do not answer. The error is ErrConflict, ErrFull, ErrTooLarge, ErrRefused,
// ErrUnavailable or ErrUnsure, with its cause.
func (s *Stream) Append(ctx context.Context, m Message, after uint64) (sequence uint64, err error) {
	return s.publish(ctx, m, jetstream.WithExpectLastSequencePerSubject(after))
}

func (s *Stream) publish(ctx context.Context, m Message, options ...jetstream.PublishOpt) (sequence uint64, err error) {
	conn := s.js.Conn()
	if limit := conn.MaxPayload(); limit > 0 && int64(len(m.Data)) > limit {
		return 0, fmt.Errorf("%w: %d bytes, the nodes take %d", ErrTooLarge, len(m.Data), limit)
	}
	id := nuid.Next() // a message that is sent again is known by it
	options = append(options, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
	if m.TTL > 0 {
		options = append(options, jetstream.WithMsgTTL(m.TTL))
	}
	sent := false // it may be stored: an attempt has no answer
	for cause := error(nil); ; {
		if over := context.Cause(ctx); over != nil {
			return 0, unanswered(sent, over, cause)
		}
		if conn.IsClosed() {
			return 0, unanswered(sent, nats.ErrConnectionClosed, cause)
		}
		message := nats.NewMsg(m.Subject)
		message.Data = m.Data
		maps.Copy(message.Header, m.Header)
		one, cancel := context.WithTimeout(context.WithoutCancel(ctx), attemptOf(m.Data))
		answer, err := s.js.PublishMsg(one, message, options...)
		cancel()
		if err == nil {
			s.full.Store(false)
			return answer.Sequence, nil
		}
		cause = err
		unknown, pause, final := s.verdict(err, m.Subject)
		if final != nil && sent {
			return s.mine(ctx, m.Subject, id, final) // an earlier attempt may have stored it
		}
		if final != nil {
			return 0, final
		}
		sent = sent || unknown
		_ = wait(ctx, pause)
	}
}

// unanswered is the error of a message when the time is over, or the store.
func unanswered(sent bool, over, cause error) error {
	err := ErrUnavailable
	if sent {
		err = ErrUnsure
	}
	if cause == nil {
		return fmt.Errorf("%w: %w", err, over)
	}
	return fmt.Errorf("%w: %w: %w", err, over, cause)
}

// verdict says what an error of one attempt means: whether it is not known if the message is
// stored, and how long to wait before another; or that another would end the same, and this one has
// stored nothing (final).
func (s *Stream) verdict(err error, subject string) (unknown bool, pause time.Duration, final error) {
	pause = 30 * time.Millisecond
	answer, isAPI := errors.AsType[*jetstream.APIError](err)
	if !isAPI {
		switch {
		case errors.Is(err, nats.ErrMaxPayload):
			return false, 0, fmt.Errorf("%w: %w", ErrTooLarge, err)
		case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrBadHeaderMsg), errors.Is(err, nats.ErrHeadersNotSupported),
			errors.Is(err, jetstream.ErrInvalidOption):
			return false, 0, fmt.Errorf("%w: %w", ErrRefused, err)
		case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders):
			if !s.takes(subject) {
				return false, 0, fmt.Errorf("%w: subject %q is none of the stream's", ErrRefused, subject)
			}
			return false, pause, s.leaderless(err)
		case errors.Is(err, nats.ErrReconnectBufExceeded):
			return false, pause, nil // no connection now
		}
		return true, pause, nil
	}
	switch code := answer.ErrorCode; code {
	case jetstream.JSErrCodeStreamWrongLastSequence:
		return false, 0, ErrConflict
	case jetstream.JSErrCodeStreamWrongLastSequenceConstant, duplicateInProcess, notReady:
		return false, 2 * time.Millisecond, nil // another message of the subject is on its way to the quorum
	case tooMany:
		return false, pause, nil
	case storeFailed:
		if strings.Contains(answer.Description, "closed") { // this node ends; others may have it
			return true, pause, nil
		}
		return false, 0, fmt.Errorf("%w: %w", ErrFull, err)
	case noStorage, noResources, accountFull:
		s.full.Store(code == noResources)
		return false, 0, fmt.Errorf("%w: %w", ErrFull, err)
	case messageTooLarge, headerTooLarge:
		return false, 0, fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	if answer.Code == 400 {
		return false, 0, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return true, pause, nil
}

// leaderless is ErrFull where no node answers because the nodes are full; else nil.
func (s *Stream) leaderless(err error) error {
	if s.full.Load() {
		return fmt.Errorf("%w, and no node leads it: %w", ErrFull, err)
	}
	return nil
}

// mine finds out whether the last message of a subject is one that was sent, and perhaps stored.
func (s *Stream) mine(ctx context.Context, subject, id string, cause error) (sequence uint64, err error) {
	if ctx.Err() != nil { // one question more
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), attempt)
		defer cancel()
	}
	last, err := s.Last(ctx, subject)
	if err == nil && last != nil && last.Header.Get(jetstream.MsgIDHeader) == id {
		return last.Sequence, nil
	}
	return 0, fmt.Errorf("%w: %w", ErrUnsure, cause)
}

// takes reports whether a subject is one of the stream's.
func (s *Stream) takes(subject string) bool {
	return slices.ContainsFunc(s.stream.CachedInfo().Config.Subjects, func(filter string) bool {
		return server.SubjectMatchesFilter(subject, filter)
	})
}

// Codes of the server's that the client has no names for.
const (
	accountFull        jetstream.ErrorCode = 10002 // the account has as much as it may have
	noPeers            jetstream.ErrorCode = 10005 // the nodes that are there now do not suffice
	noResources        jetstream.ErrorCode = 10023 // the node has as much as it may have
	noStorage          jetstream.ErrorCode = 10047 // likewise
	badConfig          jetstream.ErrorCode = 10052
	messageTooLarge    jetstream.ErrorCode = 10054
	noReplicas         jetstream.ErrorCode = 10074 // not without a cluster
	storeFailed        jetstream.ErrorCode = 10077 // the stream has as much as it may have; or it ends
	headerTooLarge     jetstream.ErrorCode = 10097
	duplicateInProcess jetstream.ErrorCode = 10158 // a message with the same id is on its way
	notReady           jetstream.ErrorCode = 10163 // another of the same subject is
	tooMany            jetstream.ErrorCode = 10167 // the node has too much to do
)

// Last returns the last message of a subject, nil if there is none, as the leader has it. A leader
// that has just lost its place may have an older one: Append tells. The error is ErrUnavailable,
// ErrFull, or ErrRefused where the subject can be none.
func (s *Stream) Last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	for limit := attempt; ; limit = min(2*limit, 16*attempt) { // the message may be large
		one, cancel := context.WithTimeout(ctx, limit)
		last, err := s.stream.GetLastMsgForSubject(one, subject)
		cancel()
		switch {
		case err == nil:
			return last, nil
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, nil
		}
		if full := s.leaderless(err); full != nil {
			return nil, full
		}
		if answer, isAPI := errors.AsType[*jetstream.APIError](err); isAPI && answer.Code == 400 || errors.Is(err, nats.ErrBadSubject) {
			return nil, fmt.Errorf("%w: subject %q: %w", ErrRefused, subject, err)
		}
		if !again(ctx, 30*time.Millisecond, err) {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// Leader returns the name of the node that leads the stream, empty if there is none. The error is
// ErrUnavailable or ErrFull.
func (s *Stream) Leader(ctx context.Context) (string, error) {
	info, err := s.info(ctx)
	if err != nil || info.Cluster == nil {
		return "", err
	}
	return info.Cluster.Leader, nil
}

// Current reports whether every replica has all that the leader has: one node may end then, and the
// stream goes on. The error is ErrUnavailable or ErrFull.
func (s *Stream) Current(ctx context.Context) (bool, error) {
	info, err := s.info(ctx)
	if err != nil || info.Cluster == nil {
		return err == nil, err
	}
	for _, replica := range info.Cluster.Replicas {
		if !replica.Current || replica.Offline {
			return false, nil
		}
	}
	return info.Cluster.Leader != "" && len(info.Cluster.Replicas) == info.Config.Replicas-1, nil
}

// JetStream returns the client of JetStream, for consumers.
func (s *Stream) JetStream() jetstream.JetStream { return s.js }

// Sequence returns the sequence of the last message of the stream, as the leader has it. The error
// is ErrUnavailable or ErrFull.
func (s *Stream) Sequence(ctx context.Context) (uint64, error) {
	info, err := s.info(ctx)
	if err != nil {
		return 0, err
	}
	return info.State.LastSeq, nil
}

func (s *Stream) info(ctx context.Context) (*jetstream.StreamInfo, error) {
	for {
		one, cancel := context.WithTimeout(ctx, attempt)
		info, err := s.stream.Info(one)
		cancel()
		if err == nil {
			return info, nil
		}
		if full := s.leaderless(err); full != nil {
			return nil, full
		}
		if !again(ctx, 30*time.Millisecond, err) {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}
