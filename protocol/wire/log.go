package wire

import (
	"fmt"
	"log/slog"
)

// This file defines how the messages with bytes of a connection look in a log, for example where
// Proto.Actor logs them as dead letters: their size, and none of the bytes, as protocol.Write.

// LogValue implements slog.LogValuer.
func (x *Write) LogValue() slog.Value {
	text := fmt.Sprintf("Write of %d bytes", len(x.GetData()))
	if x.GetAck() != nil {
		text += fmt.Sprintf(", Ack %v", x.GetAck())
	}
	if x.GetToken() != nil {
		text += fmt.Sprintf(", Token %v", x.GetToken())
	}
	return slog.StringValue(text)
}

// LogValue implements slog.LogValuer.
func (x *Data) LogValue() slog.Value {
	return slog.StringValue(fmt.Sprintf("Data %d of %d bytes from %v", x.GetNumber(), len(x.GetBytes()), x.GetConnection()))
}
