package wire

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/proto"

	"github.com/go-berth/berth/protocol"
)

var (
	// ErrUnsendable is matched by errors of Encode: the message, or a value in it, has no form that
	// can cross nodes.
	ErrUnsendable = errors.New("berth: it cannot be sent to another node")
	// ErrMalformed is matched by errors of Decode: no Encode of this version has made the message.
	ErrMalformed = errors.New("berth: a malformed message from another node")
)

func unsendable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnsendable, fmt.Sprintf(format, args...))
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// Encode returns the form of a command, a GetInfo, a reply or an event of package protocol. An
// event's Socket becomes the PID of its connection, and the unread bytes of a Data are copied. The
// form of a Write shares its Data. The error matches ErrUnsendable.
func Encode(message any) (proto.Message, error) {
	e := encoder{}
	form := e.message(message)
	if e.err != nil {
		return nil, e.err
	}
	return form, nil
}

// encoder keeps the first error.
type encoder struct{ err error }

func (e *encoder) fail(err error) {
	if e.err == nil {
		e.err = err
	}
}

func (e *encoder) message(message any) proto.Message {
	if isNil(message) {
		e.fail(unsendable("a nil %T", message))
		return nil
	}
	switch m := message.(type) {
	case *protocol.Write:
		return &Write{Data: m.Data, Ack: e.value(m.Ack), Token: e.value(m.Token)}
	case *protocol.Pause:
		return &Pause{Ack: e.value(m.Ack)}
	case *protocol.Resume:
		return &Resume{Credit: int64(m.Credit), Ack: e.value(m.Ack)}
	case *protocol.Close:
		return &Close{Ack: e.value(m.Ack)}
	case *protocol.CloseWrite:
		return &CloseWrite{Ack: e.value(m.Ack)}
	case *protocol.Abort:
		return &Abort{Ack: e.value(m.Ack)}
	case *protocol.Detach:
		return &Detach{Ack: e.value(m.Ack)}
	case *protocol.Link:
		return &Link{Pid: e.pid(m.PID), Ack: e.value(m.Ack)}
	case *protocol.Unlink:
		return &Unlink{Pid: e.pid(m.PID), Ack: e.value(m.Ack)}
	case *protocol.GetInfo:
		return &GetInfo{}
	}
	if form := e.reply(message); form != nil {
		return form
	}
	if event, ok := message.(protocol.Event); ok {
		return e.event(event)
	}
	e.fail(unsendable("a %T", message))
	return nil
}

// reply returns nil where message is none.
func (e *encoder) reply(message any) proto.Message {
	switch m := message.(type) {
	case *protocol.Written:
		return &Written{Ack: e.value(m.Ack)}
	case *protocol.WriteFailed:
		return &WriteFailed{Ack: e.value(m.Ack), Token: e.value(m.Token), Error: encodeError(m.Err)}
	case *protocol.WriteReady:
		return &WriteReady{Pid: e.pid(m.PID)}
	case *protocol.Done:
		return &Done{Ack: e.value(m.Ack), Error: encodeError(m.Err)}
	case *protocol.Info:
		return &Info{
			LocalAddr: text(m.LocalAddr), RemoteAddr: text(m.RemoteAddr), State: e.state(m.State), Reason: e.reason(m.Reason),
			Error: encodeError(m.Err), Paused: m.Paused, QueuedWrites: int64(m.QueuedWrites), QueuedBytes: int64(m.QueuedBytes),
			Stats: encodeStats(m.Stats),
		}
	}
	return nil
}

func (e *encoder) event(event protocol.Event) proto.Message {
	switch m := event.(type) {
	case *protocol.Accepted:
		form := &Accepted{Connection: e.connection(m.Socket), Restarts: int64(m.Restarts)}
		if m.Socket != nil {
			form.LocalAddr, form.RemoteAddr = text(m.Socket.LocalAddr().String()), text(m.Socket.RemoteAddr().String())
		}
		return form
	case *protocol.Data:
		form := &Data{Connection: e.connection(m.Socket), Eof: m.EOF}
		if m.Buffer != nil {
			form.Bytes, form.Offset = append([]byte(nil), m.Buffer.Bytes()...), m.Buffer.Offset()
		}
		return form
	case *protocol.PeerClosed:
		return &PeerClosed{Connection: e.connection(m.Socket)}
	case *protocol.Writable:
		return &Writable{Connection: e.connection(m.Socket), Ready: m.Ready}
	case *protocol.Draining:
		form := &Draining{Connection: e.connection(m.Socket)}
		if !m.Deadline.IsZero() {
			form.Limited, form.Seconds, form.Nanoseconds = true, m.Deadline.Unix(), int32(m.Deadline.Nanosecond())
		}
		return form
	case *protocol.TLSStarted:
		return &TLSStarted{Connection: e.connection(m.Socket)}
	case *protocol.Closing:
		return &Closing{Connection: e.connection(m.Socket), Reason: e.reason(m.Reason), Error: encodeError(m.Err)}
	case *protocol.Closed:
		return &Closed{
			Connection: e.connection(m.Socket), Reason: e.reason(m.Reason), Error: encodeError(m.Err), Stats: encodeStats(m.Stats),
		}
	}
	e.fail(unsendable("a %T", event)) // a type of the caller's own that embeds an event
	return nil
}

// connection is the PID in the place of a Socket; nil for no Socket.
func (e *encoder) connection(s protocol.Socket) *PID {
	if s == nil {
		return nil
	}
	return e.pid(s.PID())
}

func (e *encoder) pid(pid *actor.PID) *PID {
	switch {
	case pid == nil:
		return nil
	case !utf8.ValidString(pid.Address) || !utf8.ValidString(pid.Id):
		e.fail(unsendable("a PID that is no UTF-8, %q", pid.Id))
	}
	return &PID{Address: pid.Address, Id: pid.Id, RequestId: pid.RequestId}
}

func (e *encoder) reason(r protocol.Reason) Reason {
	if _, known := Reason_name[int32(r)]; !known {
		e.fail(unsendable("reason %d", r))
	}
	return Reason(r)
}

func (e *encoder) state(s protocol.State) State {
	if _, known := State_name[int32(s)]; !known {
		e.fail(unsendable("%s", s))
	}
	return State(s)
}

func encodeStats(s protocol.Stats) *Stats {
	return &Stats{
		Read: s.Read, Unread: s.Unread, Written: s.Written, Unsent: s.Unsent, Dropped: s.Dropped, DroppedWrites: s.DroppedWrites,
		Nanoseconds: int64(s.Duration),
	}
}

// text makes a string one that protobuf takes: an address of a unix socket may be any bytes.
func text(s string) string { return strings.ToValidUTF8(s, string(utf8.RuneError)) }

// Decode returns the message of package protocol that a form of this package stands for. An event
// comes without its Socket, which is on the connection's node: the form's Connection names it. The
// error matches ErrMalformed. It may be a message of a node of a later version.
func Decode(form any) (any, error) {
	d := decoder{open: true}
	message := d.message(form)
	if d.err != nil {
		return nil, d.err
	}
	return message, nil
}

// decoder keeps the first error.
type decoder struct {
	err  error
	open bool // values become what they were; otherwise they stay as they are, for an answer
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

func (d *decoder) message(form any) any {
	if isNil(form) {
		d.fail(malformed("a nil %T", form))
		return nil
	}
	switch m := form.(type) {
	case *Written:
		return &protocol.Written{Ack: d.value(m.Ack)}
	case *WriteFailed:
		return &protocol.WriteFailed{Ack: d.value(m.Ack), Token: d.value(m.Token), Err: d.error(m.Error)}
	case *WriteReady:
		return &protocol.WriteReady{PID: m.Pid.Native()}
	case *Done:
		return &protocol.Done{Ack: d.value(m.Ack), Err: d.error(m.Error)}
	case *Info:
		return &protocol.Info{
			LocalAddr: m.LocalAddr, RemoteAddr: m.RemoteAddr, State: d.state(m.State), Reason: d.reason(m.Reason), Err: d.error(m.Error),
			Paused: m.Paused, QueuedWrites: d.int(m.QueuedWrites), QueuedBytes: d.int(m.QueuedBytes), Stats: decodeStats(m.Stats),
		}
	case *Accepted:
		return &protocol.Accepted{Restarts: d.int(m.Restarts)}
	case *Data:
		buffer := &protocol.Buffer{}
		(*protocol.Source)(buffer).AttachAt(m.Offset, m.Bytes, nil, m.Eof)
		return &protocol.Data{Buffer: buffer, EOF: m.Eof}
	case *PeerClosed:
		return &protocol.PeerClosed{}
	case *Writable:
		return &protocol.Writable{Ready: m.Ready}
	case *Draining:
		return &protocol.Draining{Deadline: d.deadline(m)}
	case *TLSStarted:
		return &protocol.TLSStarted{}
	case *Closing:
		return &protocol.Closing{Reason: d.reason(m.Reason), Err: d.error(m.Error)}
	case *Closed:
		return &protocol.Closed{Reason: d.reason(m.Reason), Err: d.error(m.Error), Stats: decodeStats(m.Stats)}
	}
	if message := d.command(form); message != nil {
		return message
	}
	d.fail(malformed("a %T", form))
	return nil
}

// command returns nil where form is none. With sealed values it cannot fail.
func (d *decoder) command(form any) any {
	switch m := form.(type) {
	case *Write:
		return &protocol.Write{Data: m.Data, Ack: d.value(m.Ack), Token: d.value(m.Token)}
	case *Pause:
		return &protocol.Pause{Ack: d.value(m.Ack)}
	case *Resume:
		return &protocol.Resume{Credit: clamp(m.Credit), Ack: d.value(m.Ack)}
	case *Close:
		return &protocol.Close{Ack: d.value(m.Ack)}
	case *CloseWrite:
		return &protocol.CloseWrite{Ack: d.value(m.Ack)}
	case *Abort:
		return &protocol.Abort{Ack: d.value(m.Ack)}
	case *Detach:
		return &protocol.Detach{Ack: d.value(m.Ack)}
	case *Link:
		return &protocol.Link{PID: m.Pid.Native(), Ack: d.value(m.Ack)}
	case *Unlink:
		return &protocol.Unlink{PID: m.Pid.Native(), Ack: d.value(m.Ack)}
	case *GetInfo:
		return &protocol.GetInfo{}
	}
	return nil
}

func (d *decoder) reason(r Reason) protocol.Reason {
	if _, known := Reason_name[int32(r)]; !known {
		d.fail(malformed("reason %d", r))
		return protocol.ReasonNone
	}
	return protocol.Reason(r)
}

func (d *decoder) state(s State) protocol.State {
	if _, known := State_name[int32(s)]; !known {
		d.fail(malformed("state %d", s))
		return protocol.StateOpening
	}
	return protocol.State(s)
}

func (d *decoder) deadline(m *Draining) time.Time {
	switch {
	case !m.Limited:
		return time.Time{}
	case m.Nanoseconds < 0 || m.Nanoseconds >= 1e9:
		d.fail(malformed("a deadline of %d nanoseconds", m.Nanoseconds))
	}
	return time.Unix(m.Seconds, int64(m.Nanoseconds))
}

// int is for counts, which fit into the int of a node with 64 bits and perhaps not into ours.
func (d *decoder) int(n int64) int {
	if int64(int(n)) != n {
		d.fail(malformed("%d is more than an int holds here", n))
	}
	return int(n)
}

// clamp is for credit: a larger one than an int holds is without limit in practice.
func clamp(n int64) int {
	const most, least = int(^uint(0) >> 1), -int(^uint(0)>>1) - 1
	return int(min(max(n, int64(least)), int64(most)))
}

func decodeStats(s *Stats) protocol.Stats {
	return protocol.Stats{
		Read: s.GetRead(), Unread: s.GetUnread(), Written: s.GetWritten(), Unsent: s.GetUnsent(), Dropped: s.GetDropped(),
		DroppedWrites: s.GetDroppedWrites(), Duration: time.Duration(s.GetNanoseconds()),
	}
}

// NewPID returns the form of a PID, nil for nil. A PID with bytes that are no UTF-8 cannot be sent.
func NewPID(pid *actor.PID) *PID {
	if pid == nil {
		return nil
	}
	return &PID{Address: pid.Address, Id: pid.Id, RequestId: pid.RequestId}
}

// Native returns Proto.Actor's own PID, nil for nil.
func (p *PID) Native() *actor.PID {
	if p == nil {
		return nil
	}
	return &actor.PID{Address: p.Address, Id: p.Id, RequestId: p.RequestId}
}
