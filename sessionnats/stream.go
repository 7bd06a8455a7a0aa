package sessionnats

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

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
	// ErrFull says that the stream, or the node, has as much as it may have. Nothing has changed.
	ErrFull = errors.New("sessionnats: the stream is full")
)

// attempt is how long one request may take before it is sent again: a node may have been killed
// with the request in it.
const attempt = 500 * time.Millisecond

// Stream is a stream of JetStream in which every message names the one before it on its subject. A
// program may keep streams of its own beside its sessions. Its methods may be called by any
// goroutine.
type Stream struct {
	js     jetstream.JetStream
	stream jetstream.Stream
}

// OpenStream opens a stream, which it creates where there is none. One that is there must have the
// same number of messages for each subject, and the same permissions. Reads go to the leader: a
// copy may be behind. While the nodes do not answer it tries again, until ctx is done.
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
			if stream, err = js.Stream(one, config.Name); err == nil {
				if err := compatible(stream.CachedInfo().Config, config); err != nil {
					cancel()
					return nil, err
				}
			}
		}
		cancel()
		if err == nil {
			return &Stream{js, stream}, nil
		}
		if errors.Is(err, jetstream.ErrInvalidStreamName) || errors.Is(err, jetstream.ErrStreamNameRequired) {
			return nil, err
		}
		if !again(ctx, 50*time.Millisecond, err) {
			return nil, fmt.Errorf("%w: stream %s: %w", ErrUnavailable, config.Name, err)
		}
	}
}

// compatible compares what the guarantees rest on.
func compatible(have, want jetstream.StreamConfig) error {
	if have.MaxMsgsPerSubject != want.MaxMsgsPerSubject || have.AllowMsgTTL != want.AllowMsgTTL || have.AllowDirect || have.Discard != want.Discard {
		return fmt.Errorf("sessionnats: stream %s is there, with other settings", want.Name)
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
// it tries again, until ctx is done, and never stores the message twice. The error is ErrConflict,
// ErrFull, ErrUnavailable or ErrUnsure, with its cause.
func (s *Stream) Append(ctx context.Context, m Message, after uint64) (sequence uint64, err error) {
	return s.publish(ctx, m, jetstream.WithExpectLastSequencePerSubject(after))
}

func (s *Stream) publish(ctx context.Context, m Message, options ...jetstream.PublishOpt) (sequence uint64, err error) {
	id := nuid.Next() // a message that is sent again is known by it
	options = append(options, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
	if m.TTL > 0 {
		options = append(options, jetstream.WithMsgTTL(m.TTL))
	}
	sent := false // it may be stored: an attempt has no answer
	for {
		message := nats.NewMsg(m.Subject)
		message.Data = m.Data
		maps.Copy(message.Header, m.Header)
		one, cancel := context.WithTimeout(ctx, attempt)
		answer, err := s.js.PublishMsg(one, message, options...)
		cancel()
		if err == nil {
			return answer.Sequence, nil
		}
		pause := 30 * time.Millisecond
		switch code := errorCode(err); {
		case code == jetstream.JSErrCodeStreamWrongLastSequence && !sent:
			return 0, ErrConflict
		case code == jetstream.JSErrCodeStreamWrongLastSequence:
			// An earlier attempt may be that other change.
			last, lastErr := s.Last(ctx, m.Subject)
			switch {
			case lastErr != nil || last == nil || last.Header.Get(jetstream.MsgIDHeader) == "":
				return 0, fmt.Errorf("%w: %w", ErrUnsure, err)
			case last.Header.Get(jetstream.MsgIDHeader) == id:
				return last.Sequence, nil
			}
			return 0, fmt.Errorf("%w: %w", ErrUnsure, ErrConflict)
		case code == jetstream.JSErrCodeStreamWrongLastSequenceConstant, code == duplicateInProcess:
			pause = 2 * time.Millisecond // another message of the subject is on its way to the quorum
		case (code == storeFailed || code == noStorage) && !sent:
			return 0, fmt.Errorf("%w: %w", ErrFull, err)
		case errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrNoResponders), errors.Is(err, nats.ErrReconnectBufExceeded):
			// It reached no node: no leader now, or no connection.
		case errors.Is(err, nats.ErrConnectionClosed):
			pause = 0
		default:
			sent = true
		}
		if !again(ctx, pause, err) {
			if sent {
				return 0, fmt.Errorf("%w: %w", ErrUnsure, err)
			}
			return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// Codes of the server's that the client has no names for.
const (
	duplicateInProcess jetstream.ErrorCode = 10158 // a message with the same id is on its way
	storeFailed        jetstream.ErrorCode = 10077 // the stream has as much as it may have
	noStorage          jetstream.ErrorCode = 10047 // the node has
)

// errorCode returns 0 for an error that is not the server's.
func errorCode(err error) jetstream.ErrorCode {
	if answer, is := errors.AsType[*jetstream.APIError](err); is {
		return answer.ErrorCode
	}
	return 0
}

// Last returns the last message of a subject, nil if there is none, as the leader has it. A leader
// that has just lost its place may have an older one: Append tells. The error is ErrUnavailable.
func (s *Stream) Last(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	for {
		one, cancel := context.WithTimeout(ctx, attempt)
		last, err := s.stream.GetLastMsgForSubject(one, subject)
		cancel()
		switch {
		case err == nil:
			return last, nil
		case errors.Is(err, jetstream.ErrMsgNotFound):
			return nil, nil
		}
		if !again(ctx, 30*time.Millisecond, err) {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}

// Leader returns the name of the node that leads the stream, empty if there is none. The error is
// ErrUnavailable.
func (s *Stream) Leader(ctx context.Context) (string, error) {
	info, err := s.info(ctx)
	if err != nil || info.Cluster == nil {
		return "", err
	}
	return info.Cluster.Leader, nil
}

// Current reports whether every replica has all that the leader has: one node may end then, and the
// stream goes on. The error is ErrUnavailable.
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
// is ErrUnavailable.
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
		if !again(ctx, 30*time.Millisecond, err) {
			return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
}
