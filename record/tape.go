package record

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/protocol"
)

// tape is the file of one connection. Its methods are called on the connection's turn.
type tape struct {
	options *Options
	file    *os.File
	began   time.Time
	size    int64
	over    bool   // nothing is written any more: full, or an error
	left    int    // bytes that the handler has been shown and has not consumed
	seen    uint64 // where in the stream the bytes end that it has been shown
	busy    bool   // the handler is being called
}

const (
	// reserve is what a file keeps for the last lines.
	reserve = 12 << 10
	// longestText is the most of an error, or of what was panicked with. JSON may need six bytes
	// for one.
	longestText = 512
)

func newTape(options *Options, socket protocol.Socket) (*tape, error) {
	began := time.Now()
	file, err := os.CreateTemp(options.Dir, began.UTC().Format("20060102T150405")+"-*.berthrec") // only its owner may read it
	if err != nil {
		return nil, err
	}
	t := &tape{options: options, file: file, began: began}
	header := Header{
		Berth: "recording", Version: version, Began: began, PID: socket.PID().GetId(),
		Local: text(socket.LocalAddr()), Remote: text(socket.RemoteAddr()), Payload: options.Payload,
	}
	if err := t.write(header); err != nil {
		_ = file.Close()
		_ = os.Remove(file.Name())
		return nil, err
	}
	return t, nil
}

func text(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	return addr.String()
}

// before writes the event of a message that the handler gets next.
func (t *tape) before(message any) error {
	event := Event{At: time.Since(t.began)}
	last := false
	switch m := message.(type) {
	case *protocol.Accepted:
		event.Kind, event.Restarts = Accepted, m.Restarts
	case *protocol.Data:
		event.Kind, event.EOF = Data, m.EOF
		fresh := t.fresh(m.Buffer)
		event.N = len(fresh)
		if t.options.Payload {
			event.Bytes = fresh
		}
	case *protocol.PeerClosed:
		event.Kind = PeerClosed
	case *protocol.Writable:
		event.Kind, event.Ready = Writable, m.Ready
	case *protocol.Draining:
		event.Kind = Draining
	case *protocol.TLSStarted:
		event.Kind = TLSStarted
	case *protocol.Closing:
		event.Kind, event.Reason, event.Text, last = Closing, m.Reason.String(), textOf(m.Err), true
	case *protocol.Closed:
		event.Kind, event.Reason, event.Text, last = Closed, m.Reason.String(), textOf(m.Err), true
	case *actor.Started, *actor.Stopping, *actor.Stopped, *actor.Restarting:
		return nil
	default:
		event.Kind, event.Type = Message, fmt.Sprintf("%T", message)
	}
	return t.add(event, last)
}

// fresh returns the bytes that no handler has been shown before.
func (t *tape) fresh(b *protocol.Buffer) []byte {
	shown := b.Bytes()
	if at := b.Offset(); at < t.seen {
		shown = shown[min(t.seen-at, uint64(len(shown))):]
	}
	t.seen = max(t.seen, b.Offset()+uint64(b.Len()))
	return shown
}

// after writes what a call has returned, where that says something.
func (t *tape) after(message any, err error) error {
	if !t.consumed(message) && err == nil {
		return nil
	}
	return t.add(Event{At: time.Since(t.began), Kind: Returned, Left: t.left, Text: textOf(err)}, false)
}

// consumed notes what the handler has left of a Data. It returns false for other messages.
func (t *tape) consumed(message any) bool {
	data, is := message.(*protocol.Data)
	if is {
		t.left = data.Buffer.Len()
	}
	return is
}

// panicked writes that a call has ended by a panic, or by runtime.Goexit; then value is nil.
func (t *tape) panicked(message, value any) error {
	t.consumed(message)
	event := Event{At: time.Since(t.began), Kind: Panicked}
	if value != nil {
		event.Text = shortened(fmt.Sprint(value))
	}
	return t.add(event, true)
}

func textOf(err error) string {
	if err == nil {
		return ""
	}
	return shortened(fmt.Sprint(err)) // Sprint survives an Error that panics
}

func shortened(text string) string {
	if len(text) > longestText {
		return text[:longestText] + "…"
	}
	return text
}

// add writes an event if there is room. The last events have room that is kept for them.
func (t *tape) add(event Event, last bool) error {
	if t.over && !last {
		return nil
	}
	line, err := encode(event)
	if err != nil {
		return err
	}
	room := t.options.MaxBytes - t.size
	if !last {
		room -= reserve
	}
	if int64(len(line)) > room {
		if t.over {
			return nil
		}
		t.over = true
		if line, err = encode(Event{At: event.At, Kind: Full}); err != nil {
			return err
		}
	}
	return t.append(line)
}

func (t *tape) write(value any) error {
	line, err := encode(value)
	if err != nil {
		return err
	}
	return t.append(line)
}

func (t *tape) append(line []byte) error {
	n, err := t.file.Write(line)
	t.size += int64(n)
	if err != nil {
		t.over, t.size = true, t.options.MaxBytes // also for the last events
	}
	return err
}

func encode(value any) ([]byte, error) {
	line, err := json.Marshal(value)
	return append(slices.Clip(line), '\n'), err
}
