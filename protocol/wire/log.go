package wire

import (
	"fmt"
	"log/slog"
)

// This file defines how the messages with bytes of a connection look in a log, for example where
// Proto.Actor logs them as dead letters: their size, and none of the bytes, as protocol.Write.

// LogValue implements slog.LogValuer.
func (m *Write) LogValue() slog.Value {
	text := fmt.Sprintf("Write of %d bytes", len(m.GetData()))
	if m.GetAck() != nil {
		text += fmt.Sprintf(", Ack %v", m.GetAck())
	}
	if m.GetToken() != nil {
		text += fmt.Sprintf(", Token %v", m.GetToken())
	}
	return slog.StringValue(text)
}

// LogValue implements slog.LogValuer.
func (m *Data) LogValue() slog.Value {
	return slog.StringValue(fmt.Sprintf("Data %d of %d bytes from %v", m.GetNumber(), len(m.GetBytes()), m.GetConnection()))
}
