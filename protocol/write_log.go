package protocol

import (
	"fmt"
	"log/slog"
)

// This file defines how a Write looks in a log, for example where Proto.Actor logs it as a dead
// letter: its size and none of its bytes, which may be many, or private.

// String tells the size of the data and what comes back in the answers.
func (w Write) String() string {
	text := fmt.Sprintf("Write of %d bytes", len(w.Data))
	if w.Ack != nil {
		text += fmt.Sprintf(", Ack %v", w.Ack)
	}
	if w.Token != nil {
		text += fmt.Sprintf(", Token %v", w.Token)
	}
	return text
}

// GoString is String.
func (w Write) GoString() string { return w.String() }

// LogValue implements slog.LogValuer.
func (w Write) LogValue() slog.Value { return slog.StringValue(w.String()) }
