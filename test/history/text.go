package history

import (
	"fmt"
	"strings"
)

var whats = [...]string{
	"?", "rest", "shutdown", "over", "suspended", "resumed", "parted", "healed", "enter", "leave", "begin", "end", "answer", "expired", "room told", "dialed", "sending", "sent",
	"reading", "got", "finishing", "closing", "resetting",
}

var calls = [...]string{"", "Accepted", "Data", "PeerClosed", "Writable", "Draining", "Message", "Completion", "Closing", "Closed", "TLSStarted"}

var ops = [...]string{"", "Write", "File", "Wait", "Pause", "Resume", "Close", "CloseWrite", "Abort", "Stop", "Poison", "Info", "Send", "Detach", "SetTimeouts", "Become", "Other"}

func (w What) String() string { return whats[w] }
func (c Call) String() string { return calls[c] }
func (o Op) String() string   { return ops[o] }

// String returns the record as one line.
func (r Record) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%12v ", r.At)
	if r.Conn != 0 {
		fmt.Fprintf(&b, "conn %d ", r.Conn)
	}
	b.WriteString(r.What.String())
	word := func(is bool, text string) {
		if is {
			b.WriteString(" " + text)
		}
	}
	word(r.Call != NoCall, r.Call.String())
	word(r.Op != NoOp, r.Op.String())
	if r.ID != 0 {
		fmt.Fprintf(&b, " #%d", r.ID)
	}
	if r.Of != 0 {
		fmt.Fprintf(&b, " of #%d", r.Of)
	}
	if r.Call == Accepted && r.Handler != 0 {
		fmt.Fprintf(&b, " handler %d", r.Handler)
	}
	if r.By != 0 {
		fmt.Fprintf(&b, " by %d", r.By)
	}
	word(r.Mail, "by mail")
	word(r.Asked, "asked")
	word(r.Token, "token")
	word(r.Expired, "expired")
	if r.From != 0 {
		fmt.Fprintf(&b, " from %d", r.From)
	}
	word(r.EOF, "EOF")
	word(r.Ready, "ready")
	word(r.Failed, "failed")
	if r.N != 0 {
		fmt.Fprintf(&b, " n=%d", r.N)
	}
	if r.Need != 0 {
		fmt.Fprintf(&b, " need=%d", r.Need)
	}
	if len(r.Bytes) > 0 {
		fmt.Fprintf(&b, " %d bytes %.12q", len(r.Bytes), r.Bytes)
	}
	if r.Room != 0 {
		fmt.Fprintf(&b, " room=%d", r.Room-1)
	}
	if r.Err != nil {
		fmt.Fprintf(&b, " (%v)", r.Err)
	}
	if r.Limits != nil {
		fmt.Fprintf(&b, " %+v", *r.Limits)
	}
	if r.Closing != nil {
		fmt.Fprintf(&b, " %v, err %v", r.Closing.Reason, r.Closing.Err)
	}
	if r.Closed != nil {
		fmt.Fprintf(&b, " %v, err %v, %+v", r.Closed.Reason, r.Closed.Err, r.Closed.Stats)
	}
	if r.Info != nil {
		fmt.Fprintf(&b, " %s, paused %v, %d writes, %d bytes", r.Info.State, r.Info.Paused, r.Info.QueuedWrites, r.Info.QueuedBytes)
	}
	return b.String()
}
