package history

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// Recorder is a history that grows. Any goroutine may call its methods, except Measure, which must
// be called first.
type Recorder struct {
	began time.Time
	room  Room

	owed sync.WaitGroup // callbacks of Do that have not run

	mu      sync.Mutex
	records []Record
	memory  []byte // for copies of buffers that records keep
	ids     int
	inside  int            // calls that have been entered, and not left
	opened  int            // handlers
	conns   []end          // by number, from 1
	names   map[string]int // by the client's address
	pids    map[string]int // by the actor's id
}

// Answered is closed once all callbacks of Do have run, and no Do comes any more. After the end of
// a connection each has a goroutine of its own, which nothing else waits for.
func (r *Recorder) Answered() <-chan struct{} {
	answered := make(chan struct{})
	go func() {
		r.owed.Wait()
		close(answered)
	}()
	return answered
}

// end holds what the recorder knows of both ends of a connection.
type end struct {
	client                   net.Addr
	dialed, accepted, closed bool
	moved                    bool // since the last Moved
}

// Room says how many bytes more the network takes that the server writes to a client. known is
// false if this is not known, or if the server's end is closed.
type Room func(client net.Addr) (n int, known bool)

// Measure makes the recorder keep the room with each refusal: the number of bytes that the network
// would have taken shortly before the record.
func (r *Recorder) Measure(room Room) { r.room = room }

// measure returns the room of a connection for a record.
func (r *Recorder) measure(conn int) int {
	if r.room == nil {
		return 0
	}
	r.mu.Lock()
	client := r.conns[conn].client
	r.mu.Unlock()
	if n, known := r.room(client); known {
		return n + 1
	}
	return 0
}

// Moved returns the clients of the connections of which something was recorded since the last call.
func (r *Recorder) Moved() (clients []net.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.conns {
		if e := &r.conns[i]; e.moved {
			e.moved = false
			clients = append(clients, e.client)
		}
	}
	return clients
}

// lacksRoom reports whether a write was refused, or dropped, for lack of room.
func lacksRoom(err error) bool {
	return errors.Is(err, protocol.ErrWriteQueueFull) || errors.Is(err, protocol.ErrWriteBufferFull) || errors.Is(err, protocol.ErrDropped)
}

// measureRefusal is measure if err says that there was no room.
func (r *Recorder) measureRefusal(conn int, err error) int {
	if !lacksRoom(err) {
		return 0
	}
	return r.measure(conn)
}

// NewRecorder returns a recorder. Its time begins now.
func NewRecorder() *Recorder {
	return &Recorder{began: time.Now(), conns: make([]end, 1), names: map[string]int{}, pids: map[string]int{}}
}

// Records returns what was recorded so far. The slice is the recorder's; nothing may be recorded
// any more.
func (r *Recorder) Records() []Record {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.records
}

// Inside returns how many calls of handlers and callbacks are under way.
func (r *Recorder) Inside() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.inside
}

// Since returns how old the history is.
func (r *Recorder) Since() time.Duration { return time.Since(r.began) }

// Note makes a record that concerns the whole world: Rest and the kinds after it.
func (r *Recorder) Note(what What) { r.add(Record{What: what}) }

// NoteOf makes a record that concerns one connection: Parted and Healed, Stop and Poison are
// operations.
func (r *Recorder) NoteOf(what What, conn int) { r.add(Record{What: what, Conn: conn}) }

func (r *Recorder) add(record Record) {
	r.mu.Lock()
	r.append(record)
	r.mu.Unlock()
}

// handler returns the number of a handler that is about to be opened.
func (r *Recorder) handler() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened++
	return r.opened
}

// begin records the beginning of an operation or a call, which gets its number.
func (r *Recorder) begin(record Record) (id int) {
	r.mu.Lock()
	r.ids++
	id = r.ids
	record.ID = id
	r.append(record)
	r.mu.Unlock()
	return id
}

// complete records a callback: a call while the connection has not ended, an answer afterwards.
// called says which.
func (r *Recorder) complete(conn, of int, err error) (id int, called bool) {
	room := r.measureRefusal(conn, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conns[conn].closed {
		r.append(Record{What: Answer, Conn: conn, ID: of, Err: err})
		return 0, false
	}
	r.ids++
	r.append(Record{What: Enter, Call: Completion, Conn: conn, ID: r.ids, Of: of, Err: err, Room: room})
	return r.ids, true
}

// append appends. The caller holds mu, so that At never goes back.
func (r *Recorder) append(record Record) {
	record.At = time.Since(r.began)
	if record.Bytes != nil {
		record.Bytes = r.keep(record.Bytes)
	}
	if record.Conn > 0 {
		r.conns[record.Conn].moved = true
	}
	if record.Call == Closed {
		r.conns[record.Conn].closed = true
	}
	switch {
	case record.What == Enter:
		r.inside++
	case record.What == Leave && record.ID != 0: // else a failure in no call
		r.inside--
	}
	r.records = append(r.records, record)
}

// keep returns a copy of p that is never changed.
func (r *Recorder) keep(p []byte) []byte {
	const piece = 64 << 10
	if len(p) > piece/4 {
		return bytes.Clone(p)
	}
	if cap(r.memory)-len(r.memory) < len(p) {
		r.memory = make([]byte, 0, piece)
	}
	at := len(r.memory)
	r.memory = append(r.memory, p...)
	return r.memory[at:len(r.memory):len(r.memory)]
}

// dialed and accepted return the number of a connection. Its two ends find each other by the
// client's address: the end that comes first makes the number. An address that is used again, or
// that has no name, is a new connection.
func (r *Recorder) dialed(client net.Addr) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.number(client, func(e *end) *bool { return &e.dialed })
}

// known returns the connection of an actor, 0 if there is none.
func (r *Recorder) known(pid *actor.PID) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pids[pid.GetId()]
}

// accepted also knows the connection of a handler that takes the place of another.
func (r *Recorder) accepted(socket protocol.Socket) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	conn, known := r.pids[socket.PID().GetId()]
	if !known {
		conn = r.number(socket.RemoteAddr(), func(e *end) *bool { return &e.accepted })
		r.pids[socket.PID().GetId()] = conn
	}
	return conn
}

// number needs mu.
func (r *Recorder) number(client net.Addr, side func(*end) *bool) int {
	name := ""
	if client != nil {
		name = client.String()
	}
	conn, known := r.names[name]
	if !known || *side(&r.conns[conn]) || name == "" || name == "@" {
		conn = len(r.conns)
		r.conns = append(r.conns, end{client: client})
		r.names[name] = conn
	}
	*side(&r.conns[conn]) = true
	return conn
}
