package owner

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/go-berth/berth/protocol/wire"
)

// ErrTooManyWrites refuses a write because too many have no answer yet.
var ErrTooManyWrites = errors.New("owner: too many writes without an answer")

// numbers is the last number that any Writes of this process has given to a write.
var numbers atomic.Uint64

// Writes are those of an owner, to one connection, that have no answer yet. If the connection's
// node is lost no answer comes: Unanswered then names the writes whose fate is not known. It is
// plain data, for one goroutine at a time.
//
// An answer names its write, not its connection. So no two writes of a process have the same
// number, of whatever Writes they are, and Answer takes the answers to its own only. An owner of
// many connections keeps a map from the numbers to the connections.
//
// The zero Writes is that of NewWrites(0).
type Writes struct {
	most    int // 0: mostWrites
	waiting []Unanswered
}

// Unanswered is a write that has no answer yet.
type Unanswered struct {
	Number uint64 // its Ack; rises from write to write
	Data   []byte
}

// mostWrites is the default of a connection's WriteQueueSize.
const mostWrites = 64

// NewWrites returns an empty set for at most so many writes; 0 means 64, a connection's default
// WriteQueueSize. Where what has no answer is never more than the connection's WriteQueueSize and
// WriteBufferSize, no write is refused for lack of room: so the writes stay in order.
func NewWrites(most int) *Writes {
	return &Writes{most: max(most, 0)}
}

// Write returns the command that writes data. The answer repeats its number. data is not to be
// changed afterwards. The error is ErrTooManyWrites.
func (w *Writes) Write(data []byte) (*wire.Write, error) {
	most := w.most
	if most == 0 {
		most = mostWrites
	}
	if len(w.waiting) >= most {
		return nil, ErrTooManyWrites
	}
	number := numbers.Add(1)
	w.waiting = append(w.waiting, Unanswered{number, data})
	return &wire.Write{Data: data, Ack: &wire.Value{Kind: &wire.Value_Uint64{Uint64: number}}}, nil
}

// Answer takes a message that came to the owner. If it is the answer to one of the writes, it
// returns that write, and the error if it failed. A WriteFailed that says no error has failed too:
// then the error is wire.ErrMalformed.
func (w *Writes) Answer(message any) (write Unanswered, ours bool, err error) {
	var ack *wire.Value
	switch m := message.(type) {
	case *wire.Written:
		ack = m.GetAck()
	case *wire.WriteFailed:
		ack = m.GetAck()
		if err = m.GetError().Native(); err == nil {
			err = fmt.Errorf("%w: a WriteFailed without an error", wire.ErrMalformed)
		}
	}
	number, ok := ack.GetKind().(*wire.Value_Uint64)
	if !ok {
		return Unanswered{}, false, nil
	}
	for i, one := range w.waiting {
		if one.Number == number.Uint64 {
			w.waiting = append(w.waiting[:i], w.waiting[i+1:]...)
			return one, true, err
		}
	}
	return Unanswered{}, false, nil
}

// Unanswered returns and forgets the writes that have no answer. An owner calls it when it gets the
// connection's Terminated. All, some or no bytes of each were written.
func (w *Writes) Unanswered() []Unanswered {
	left := w.waiting
	w.waiting = nil
	return left
}
