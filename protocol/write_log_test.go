package protocol

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestAWriteIsLoggedByItsSizeAlone(t *testing.T) {
	const secret = "secret"
	w := &Write{Data: []byte(strings.Repeat(secret, 1000)), Ack: 7, Token: "t"}
	var text bytes.Buffer
	slog.New(slog.NewTextHandler(&text, nil)).Info("dead letter", slog.Any("message", w), slog.Any("value", *w))
	slog.New(slog.NewJSONHandler(&text, nil)).Info("dead letter", slog.Any("message", w), slog.Any("value", *w))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		fmt.Fprintf(&text, verb+verb, w, *w)
	}
	logged := text.String()
	assert.Equal(t, 12, strings.Count(logged, "Write of 6000 bytes, Ack 7, Token t"), logged)
	assert.Less(t, text.Len(), 2000)
	for _, payload := range []string{secret, fmt.Sprintf("%x", secret), "115 101 99", "c2VjcmV0"} {
		assert.NotContains(t, logged, payload)
	}
	assert.Equal(t, "Write of 0 bytes", Write{}.String())
	assert.NotPanics(t, func() { fmt.Fprint(&text, (*Write)(nil)) })
}
