package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/examples/redis/resp"
)

// session is the handler of one connection.
type session struct {
	server *server
	id     int64
	name   string // by CLIENT SETNAME

	requests resp.Parser
	out      reply

	subscriptions map[string]struct{}
	messagesThree bool // messages come in RESP3, if there are subscriptions
	transaction   transaction

	// During a call of Data.
	socket       berth.Socket
	owned        bool // the arguments of the command may be kept
	inExec       bool // the lock of the keyspace is held
	publications [][][]byte
	quit         bool
	failed       error // what ends the connection
}

const (
	// flushAt is how many bytes of replies are collected before they are written.
	flushAt = 64 << 10
	// keptOut is the most memory for replies that is used again.
	keptOut = 128 << 10
)

// buffers are for replies. A connection that has nothing to answer holds none.
var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Data answers the commands that have come, with as few writes as possible: one, unless the answers
// are long.
func (s *session) Data(socket berth.Socket, data *berth.Buffer) error {
	buffer := buffers.Get().(*[]byte)
	s.socket, s.out.b = socket, (*buffer)[:0]
	defer func() {
		if s.socket, *buffer, s.out.b = nil, s.out.b, nil; cap(*buffer) > keptOut {
			*buffer = nil
		}
		buffers.Put(buffer)
	}()
	for !s.quit {
		command, err := s.requests.Next(data)
		if err == resp.ErrIncomplete { //nolint:errorlint // it comes as it is, and the path is hot
			break
		}
		if err != nil {
			s.out.err("ERR " + err.Error())
			return errors.Join(err, s.flush()) // the flush of the close takes the reply along
		}
		s.owned = command.Owned
		s.execute(command.Args)
		if s.failed == nil && s.messagesThree != s.out.three && len(s.subscriptions) > 0 {
			s.failed = s.changeForm()
		}
		if s.failed == nil && len(s.out.b) >= flushAt {
			s.failed = s.flush()
		}
		if s.failed != nil {
			return errors.Join(s.failed, s.flush())
		}
	}
	if err := s.flush(); err != nil {
		return err
	}
	if s.quit {
		data.Discard(data.Len())
		return socket.Close()
	}
	return nil
}

// Closing takes the session out of its channels. Their groups know already.
func (s *session) Closing(socket berth.Socket, _ *berth.Closing) {
	s.server.channels.leave(slices.Collect(maps.Keys(s.subscriptions)), socket)
}

// Closed counts.
func (s *session) Closed(berth.Socket, *berth.Closed) { s.server.clients.Add(-1) }

// flush writes the replies so far. Where the client has left no room it waits: the handler blocks,
// and nothing more is read of this client, until it takes its answers or WriteTimeout ends it.
//
// A subscriber gets its replies whole, because messages may come between the pieces of a write that
// waits. One that takes neither messages nor replies is closed.
func (s *session) flush() error {
	err := s.flushAtOnce()
	if len(s.out.b) == 0 || (!lacksRoom(err) && !errors.Is(err, berth.ErrWriteTooLarge)) || len(s.subscriptions) > 0 {
		return err
	}
	_, err = s.socket.WriteContext(context.Background(), s.out.b)
	s.out.b = s.out.b[:0]
	return err
}

// flushAtOnce is flush without waiting. What finds no room stays.
func (s *session) flushAtOnce() (err error) {
	p := s.out.b
	switch {
	case len(p) == 0:
		return nil
	case len(p) < keptOut:
		_, err = s.socket.Write(p)
	default: // long: the memory goes with it
		if err = s.socket.WriteOwned(p, nil); err == nil {
			p = nil
		}
	}
	if err == nil {
		s.out.b = p[:0]
	}
	return err
}

func lacksRoom(err error) bool {
	return errors.Is(err, berth.ErrWriteQueueFull) || errors.Is(err, berth.ErrWriteBufferFull) ||
		errors.Is(err, berth.ErrMemoryBudget)
}
