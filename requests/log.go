package requests

import (
	"fmt"
	"log/slog"
)

// This file defines how the messages look in a log, for example where Proto.Actor logs them as dead
// letters: without their bytes, which may be many, or private, as protocol.Write.

// String tells the size of the data and what comes back in the Response.
func (r Request) String() string {
	text := fmt.Sprintf("Request of %d bytes", len(r.Data))
	if r.ID != nil {
		text += fmt.Sprintf(", ID %v", r.ID)
	}
	if r.Ack != nil {
		text += fmt.Sprintf(", Ack %v", r.Ack)
	}
	return text
}

// GoString is String.
func (r Request) GoString() string { return r.String() }

// LogValue implements slog.LogValuer.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// String tells all but the value.
func (r Response) String() string {
	text := fmt.Sprintf("Response with a %T", r.Value)
	if r.Err != nil {
		text = fmt.Sprintf("Response with the error %v", r.Err)
	}
	if r.Ack != nil {
		text += fmt.Sprintf(", Ack %v", r.Ack)
	}
	return text
}

// GoString is String.
func (r Response) GoString() string { return r.String() }

// LogValue implements slog.LogValuer.
func (r Response) LogValue() slog.Value { return slog.StringValue(r.String()) }
