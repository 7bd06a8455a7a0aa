package check

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/history"
)

// tale is a history written by hand. It is about connection 1 unless another one is named.
type tale struct {
	world   World
	records []history.Record
	now     time.Duration
	ids     int
	conn    int
	begun   []int // connections of which the beginning of the end was told
}

// The issuers of a tale: the connection's own turn, and two others.
const (
	turn  = -1
	alice = 1
	bob   = 2
)

func newTale() *tale {
	return &tale{world: World{MaxConnections: 3, Network: 100, Instant: true, Lossless: true}, conn: 1}
}

func (t *tale) add(r history.Record) *tale {
	r.At = t.now
	if r.What > history.Healed || r.What == history.Parted {
		r.Conn = t.conn
	}
	t.records = append(t.records, r)
	return t
}

func (t *tale) after(d time.Duration) *tale { t.now += d; return t }

// of switches to another connection.
func (t *tale) of(conn int) *tale { t.conn = conn; return t }

func (t *tale) note(what history.What) *tale { return t.add(history.Record{What: what}) }
func (t *tale) rest() *tale                  { return t.note(history.Rest) }
func (t *tale) over() *tale                  { return t.note(history.Over) }

func (t *tale) id() int { t.ids++; return t.ids }

// The handler's calls.

func (t *tale) enter(r history.Record) int {
	r.What, r.ID = history.Enter, t.id()
	t.add(r)
	return r.ID
}

func (t *tale) leave(call history.Call, id, n int, err error, failed bool) *tale {
	return t.add(history.Record{What: history.Leave, Call: call, ID: id, N: n, Err: err, Failed: failed})
}

// call is a whole call in which nothing happens.
func (t *tale) call(r history.Record) *tale { return t.leave(r.Call, t.enter(r), 0, nil, false) }

func (t *tale) open() *tale {
	return t.note(history.Dialed).call(history.Record{Call: history.Accepted})
}

// data shows text, of which consumed bytes are consumed.
func (t *tale) data(text string, consumed int) *tale {
	return t.leave(history.Data, t.enter(history.Record{Call: history.Data, Bytes: []byte(text)}), consumed, nil, false)
}

// asksFor is data after which the handler needs a number of bytes.
func (t *tale) asksFor(need int, text string, consumed int) *tale {
	return t.data(text, consumed).needs(need)
}

// needs says what the handler needed in the last call.
func (t *tale) needs(need int) *tale {
	t.records[len(t.records)-1].Need = need
	return t
}

// becomes is an Accepted of a new handler, by a Become.
func (t *tale) becomes(of, handler int) *tale {
	return t.call(history.Record{Call: history.Accepted, Of: of, Handler: handler})
}

func (t *tale) lastData(text string, consumed int) *tale {
	return t.leave(history.Data, t.enter(history.Record{Call: history.Data, Bytes: []byte(text), EOF: true}), consumed, nil, false)
}

// fails is a call that returns an error, or panics if the error is nil.
func (t *tale) fails(err error) *tale {
	return t.leave(history.Message, t.enter(history.Record{Call: history.Message}), 0, err, err == nil)
}

// begins is the beginning of an end.
func (t *tale) begins(reason protocol.Reason, err error) *tale {
	t.begun = append(t.begun, t.conn)
	return t.call(history.Record{Call: history.EndBegun, Closing: &protocol.Closing{Reason: reason, Err: err}})
}

// closed is an end, and its beginning if no record has told it yet.
func (t *tale) closed(reason protocol.Reason, err error, stats protocol.Stats) *tale {
	if !slices.Contains(t.begun, t.conn) {
		t.begins(reason, err)
	}
	return t.call(history.Record{Call: history.Closed, Closed: &protocol.Closed{Reason: reason, Err: err, Stats: stats}})
}

func (t *tale) completes(of int, err error) *tale {
	return t.call(history.Record{Call: history.Completion, Of: of, Err: err})
}

// Operations. Each returns its number in *id if that is not nil.

func (t *tale) begin(r history.Record, id *int) *tale {
	r.What, r.ID = history.Begin, t.id()
	if id != nil {
		*id = r.ID
	}
	return t.add(r)
}

func (t *tale) end(id, n int, err error) *tale {
	return t.add(history.Record{What: history.End, ID: id, N: n, Err: err})
}

// op is a whole operation through the handle.
func (t *tale) op(op history.Op, by int) *tale {
	return t.begin(history.Record{Op: op, By: by}, nil).end(t.ids, 0, nil)
}

// asks is an operation with a callback.
func (t *tale) asks(op history.Op, by int, id *int) *tale {
	return t.begin(history.Record{Op: op, By: by, Asked: true}, id).end(t.ids, 0, nil)
}

// mails is an operation by PID.
func (t *tale) mails(op history.Op, by int, text string, id *int) *tale {
	return t.begin(history.Record{Op: op, By: by, Mail: true, Asked: true, Bytes: []byte(text), N: len(text)}, id)
}

func (t *tale) answer(id int, err error) *tale {
	return t.add(history.Record{What: history.Answer, ID: id, Err: err, Mail: true})
}

// late is a callback after Closed.
func (t *tale) late(id int, err error) *tale {
	return t.add(history.Record{What: history.Answer, ID: id, Err: err})
}

// write is a write through the handle, with a completion if id is not nil.
func (t *tale) write(by int, text string, id *int, err error) *tale {
	n := len(text)
	if err != nil {
		n = 0
	}
	return t.begin(history.Record{Op: history.Write, By: by, Bytes: []byte(text), N: len(text), Asked: id != nil}, id).end(t.ids, n, err)
}

// refuses is a write through the handle that finds no room, while the network takes the given
// number of bytes more.
func (t *tale) refuses(by int, text string, err error, room int) *tale {
	t.begin(history.Record{Op: history.Write, By: by, Bytes: []byte(text), N: len(text)}, nil)
	return t.add(history.Record{What: history.End, ID: t.ids, Err: err, Room: room + 1})
}

// bids is a write by PID with a token, from a sender.
func (t *tale) bids(by, from int, text string, id *int) *tale {
	return t.begin(history.Record{Op: history.Write, By: by, Mail: true, Token: true, From: from, Bytes: []byte(text), N: len(text)}, id)
}

// comesBack is the answer about a write's failure to its sender.
func (t *tale) comesBack(id int, err error) *tale {
	return t.add(history.Record{What: history.Answer, ID: id, Err: err, Mail: true, Token: true})
}

func (t *tale) roomTold(from int) *tale {
	return t.add(history.Record{What: history.RoomTold, From: from})
}

func (t *tale) writable(ready bool) *tale {
	return t.call(history.Record{Call: history.Writable, Ready: ready})
}

// waits is the beginning of a write that waits, waited its end.
func (t *tale) waits(by int, text string, id *int) *tale {
	return t.begin(history.Record{Op: history.Wait, By: by, Bytes: []byte(text), N: len(text)}, id)
}

func (t *tale) waited(id, n int, err error) *tale {
	return t.add(history.Record{What: history.End, ID: id, N: n, Err: err, Expired: errors.Is(err, context.Canceled)})
}

func (t *tale) expires(id int) *tale { return t.add(history.Record{What: history.Expired, ID: id}) }

// file is a write of n bytes of a file that has text.
func (t *tale) file(by int, text string, n int, id *int) *tale {
	return t.begin(history.Record{Op: history.File, By: by, Bytes: []byte(text), N: n, Asked: id != nil}, id).end(t.ids, n, nil)
}

// limits sets timeouts.
func (t *tale) limits(by int, limits protocol.Timeouts) *tale {
	return t.begin(history.Record{Op: history.SetTimeouts, By: by, Limits: &limits}, nil).end(t.ids, 0, nil)
}

func (t *tale) info(writes, bytes int) *tale {
	t.begin(history.Record{Op: history.Info, By: alice}, nil)
	return t.add(history.Record{What: history.End, Op: history.Info, ID: t.ids, Info: &protocol.Info{QueuedWrites: writes, QueuedBytes: bytes}})
}

// The peer.

func (t *tale) sends(text string) *tale {
	return t.add(history.Record{What: history.Sending, Bytes: []byte(text)}).add(history.Record{What: history.Sent, N: len(text)})
}

func (t *tale) gets(text string) *tale {
	return t.add(history.Record{What: history.Reading, N: len(text)}).add(history.Record{What: history.Got, Bytes: []byte(text)})
}

// hears is a read that fails.
func (t *tale) hears(err error) *tale {
	return t.add(history.Record{What: history.Reading, N: 1}).add(history.Record{What: history.Got, Err: err})
}
