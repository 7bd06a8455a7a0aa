package check

import (
	"fmt"
	"time"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/test/history"
)

// World holds the facts that a judge needs besides the records.
type World struct {
	// Options of the connections, as they were given.
	Options connection.Options
	// MaxConnections is not judged if it is 0. Rejects says that clients beyond it are turned away.
	MaxConnections int
	Rejects        bool
	// NoPeers says that the clients' side was not recorded.
	NoPeers bool
	// Network is the most bytes that are between the ends in one direction: accepted by the kernel
	// and not read by the peer. 0 means unknown; then nothing is concluded about pending writes.
	Network int
	// Kernel is the least that the kernel takes for a peer that reads nothing.
	Kernel Kernel
	// Instant says that sent bytes have arrived at the next Rest, unless the network is parted.
	Instant bool
	// RealTime says that records come later than the events they describe, by an unknown time.
	// Limits in time are not judged.
	RealTime bool
	// Lossless says that a reset by the peer loses nothing that it had sent before, unless the
	// network is parted.
	Lossless bool
	// NoReset says that the network has no RST: a connection that is reset ends as one that is
	// closed.
	NoReset bool
	// Secured says that unread bytes may be those below TLS, which are more, and that the peer may
	// have got up to 16 KiB behind those of Stats.Written: records that are under way at the end
	// count together. See connection.MaybeSent.
	Secured bool
}

// maybeSent is how many bytes the peer may have got beyond Stats.Written.
func (w *World) maybeSent() int {
	if w.Secured {
		return 16 << 10
	}
	return 0
}

// Kernel is the least that a kernel takes before it takes no more: a number of writes or of bytes,
// whichever comes first. The zero value means unknown, and then nothing is concluded from it.
type Kernel struct{ Writes, Bytes int }

// Violation is a rule that was broken.
type Violation struct {
	Rule Rule
	Conn int
	At   int // the record that shows it; the number of records where it is the end that does
	Text string
}

func (v Violation) String() string {
	return fmt.Sprintf("%s: connection %d, record %d: %s", v.Rule, v.Conn, v.At, v.Text)
}

// Violations judges a history.
func Violations(world World, records []history.Record) []Violation {
	world.Options = world.Options.WithDefaults()
	if world.Options.SlowConsumer == connection.SlowDropNewest {
		world.Network = 0 // which writes were accepted is not known, so neither is what is pending
	}
	j := &judge{world: &world}
	for i := range records {
		j.at, j.now = i, records[i].At
		j.see(&records[i])
	}
	j.at = len(records)
	for _, c := range j.conns {
		if c != nil {
			c.finish()
		}
	}
	return j.violations
}

// judge walks over the records.
type judge struct {
	world      *World
	at         int           // the record at hand
	now        time.Duration // its time
	conns      []*conn       // by number
	live       []*conn       // of those, the ones that have not ended
	operations []*operation  // by ID
	permits    permits

	parted     bool // the whole network
	torn       bool // it was before
	shutdown   bool
	over       bool // nothing of the listener is left: nothing more comes
	violations []Violation
}

func (j *judge) see(r *history.Record) {
	if r.Conn > 0 {
		j.conn(r.Conn).see(r)
		return
	}
	switch r.What {
	case history.Rest:
		j.rest()
	case history.ShutdownBegun:
		j.shutdown = true
	case history.Over:
		j.over = true
	case history.Suspended, history.Resumed:
		j.permits.suspended = r.What == history.Suspended
	case history.Parted, history.Healed:
		j.parted = r.What == history.Parted
		j.torn = true
	default:
	}
}

func (j *judge) fail(conn int, rule Rule, format string, values ...any) {
	j.violations = append(j.violations, Violation{Rule: rule, Conn: conn, At: j.at, Text: fmt.Sprintf(format, values...)})
}

func (j *judge) conn(number int) *conn {
	for number >= len(j.conns) {
		j.conns = append(j.conns, nil)
	}
	if j.conns[number] == nil {
		c := &conn{judge: j, number: number}
		j.conns[number] = c
		j.live = append(j.live, c)
	}
	return j.conns[number]
}

// rest tells every connection, and forgets those that have ended.
func (j *judge) rest() {
	left := j.live[:0]
	for _, c := range j.live {
		c.rest()
		if !c.ended() {
			left = append(left, c)
		}
	}
	j.live = left
	j.permits.rest(j)
}

func (j *judge) operation(id int) *operation {
	if id <= 0 || id >= len(j.operations) {
		return nil
	}
	return j.operations[id]
}

func (j *judge) enter(id int, o *operation) {
	for id >= len(j.operations) {
		j.operations = append(j.operations, nil)
	}
	j.operations[id] = o
}
