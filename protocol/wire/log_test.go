package wire_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/protocol/wire"
)

func TestBytesAreLoggedByTheirSizeAlone(t *testing.T) {
	const secret = "secret"
	data := []byte(strings.Repeat(secret, 1000))
	seven := &wire.Value{Kind: &wire.Value_Int{Int: 7}}
	for want, m := range map[string]any{
		"Write of 6000 bytes, Ack int:7, Token int:7": &wire.Write{Data: data, Ack: seven, Token: seven},
		"Write of 0 bytes":                            (*wire.Write)(nil),
		"Data 3 of 6000 bytes from id":                &wire.Data{Bytes: data, Number: 3, Connection: &wire.PID{Id: "x"}},
		"Data 0 of 0 bytes":                           (*wire.Data)(nil),
	} {
		var text bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("dead letter", slog.Any("message", m))
		slog.New(slog.NewJSONHandler(&text, nil)).Info("dead letter", slog.Any("message", m))
		assert.Equal(t, 2, strings.Count(text.String(), want), text.String())
		for _, payload := range []string{secret, fmt.Sprintf("%x", secret), "115 101 99", "c2VjcmV0"} {
			assert.NotContains(t, text.String(), payload)
		}
	}
}
