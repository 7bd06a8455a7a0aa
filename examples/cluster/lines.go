package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/go-berth/berth/sessionnats"
)

// lines is what is said in all rooms: a stream of JetStream. A room is a subject, "rooms.ROOM.*".
// Below it each session has a subject of its own, so that a line can name the one before it of the
// same session. The sequence of the stream numbers the lines of all rooms.
type lines struct{ *sessionnats.Stream }

const (
	linesStream  = "rooms"
	numberHeader = "Number" // of the line among those of its session
	nameHeader   = "Name"
	history      = 24 * time.Hour // how long lines are kept
)

// line is one line of a room.
type line struct {
	sequence uint64
	name     string
	text     string
}

func openLines(ctx context.Context, store *sessionnats.Store) (*lines, error) {
	stream, err := sessionnats.OpenStream(ctx, store.Conn(), jetstream.StreamConfig{
		Name: linesStream, Description: "what is said in the rooms", Subjects: []string{"rooms.*.*"}, Replicas: store.Replicas(),
		MaxMsgsPerSubject: -1, MaxAge: history, MaxBytes: 512 << 20, Duplicates: time.Minute,
	})
	if err != nil {
		return nil, err
	}
	return &lines{stream}, nil
}

// tail is the last line of one session in one room.
type tail struct {
	sequence uint64 // in the stream; 0: none
	number   uint64
	text     string
}

// errOtherLine refuses a line whose number another connection of the session has used for another.
var errOtherLine = errors.New("another connection of the session has said something else by this number")

// tail returns what the store has.
func (l *lines) tail(ctx context.Context, room, session string) (tail, error) {
	last, err := l.Last(ctx, subject(room, session))
	if err != nil || last == nil {
		return tail{}, err
	}
	number, err := strconv.ParseUint(last.Header.Get(numberHeader), 10, 64)
	return tail{last.Sequence, number, string(last.Data)}, err
}

// say stores a line unless it is stored already. at is the tail, as far as is known; the new one is
// returned. With an error nothing is known of it any more.
//
// Two connections of one session, the old and the new one, may try the same line at the same time.
// Both name the line before it, so one is first, and the other finds the line stored. If that is
// another line, the error is errOtherLine: a token was copied.
func (l *lines) say(ctx context.Context, room, session, name string, number uint64, text string, at tail) (tail, error) {
	for at.number < number {
		header := nats.Header{}
		header.Set(numberHeader, strconv.FormatUint(number, 10))
		header.Set(nameHeader, name)
		sequence, err := l.Append(ctx, sessionnats.Message{Subject: subject(room, session), Header: header, Data: []byte(text)}, at.sequence)
		switch {
		case err == nil:
			return tail{sequence, number, text}, nil
		case errors.Is(err, sessionnats.ErrUnsure) || !errors.Is(err, sessionnats.ErrConflict):
			return tail{}, err
		}
		if at, err = l.tail(ctx, room, session); err != nil {
			return tail{}, err
		}
	}
	if at.number != number || at.text != text {
		return tail{}, errOtherLine
	}
	return at, nil
}

func subject(room, session string) string { return "rooms." + room + "." + session }

// follow calls each for the lines of a room after a sequence, in order and once. It returns when
// each returns false, when ctx is done, or, unless live, when there is no line more. A node that
// serves it may end: then it goes on at another.
func (l *lines) follow(ctx context.Context, room string, after uint64, live bool, each func(line) bool) error {
	for wait := time.Duration(0); ; wait = 100 * time.Millisecond {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		}
		done, err := l.read(ctx, room, &after, live, each)
		if done || ctx.Err() != nil {
			return ctx.Err()
		}
		slog.Debug("reading a room again", "room", room, "after", after, "error", err)
	}
}

// read is one try of follow's. It raises after.
func (l *lines) read(ctx context.Context, room string, after *uint64, live bool, each func(line) bool) (done bool, err error) {
	create, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	consumer, err := l.JetStream().CreateConsumer(create, linesStream, jetstream.ConsumerConfig{
		FilterSubject: subject(room, "*"), DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: *after + 1,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: 30 * time.Second,
	})
	if err != nil {
		return false, err
	}
	if !live && consumer.CachedInfo().NumPending == 0 {
		return true, nil
	}
	// A node that was killed sends nothing: two heartbeats that are missing tell.
	messages, err := consumer.Messages(jetstream.PullExpiry(4*time.Second), jetstream.PullHeartbeat(500*time.Millisecond))
	if err != nil {
		return false, err
	}
	defer messages.Stop()
	for delivered := uint64(1); ; delivered++ {
		message, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return false, err
		}
		meta, err := message.Metadata()
		if err != nil {
			return false, err
		}
		if meta.Sequence.Consumer != delivered {
			return false, fmt.Errorf("message %d of the consumer came as number %d", meta.Sequence.Consumer, delivered)
		}
		*after = meta.Sequence.Stream
		one := line{sequence: *after, name: message.Headers().Get(nameHeader), text: string(message.Data())}
		if !each(one) || (!live && meta.NumPending == 0) {
			return true, nil
		}
	}
}

// payload is the line as a member gets it.
func (l line) payload(room string) []byte {
	return fmt.Appendf(nil, "line %s %d %s %s\n", room, l.sequence, l.name, l.text)
}

// word reports whether s can be the name of a room or of a member.
func word(s string) bool {
	return s != "" && len(s) <= 32 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
