package requests

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMessagesAreLoggedWithoutTheirBytes(t *testing.T) {
	const secret = "secret"
	data := []byte(strings.Repeat(secret, 1000))
	for want, messages := range map[string][]any{
		"Request of 6000 bytes, ID 7, Ack a":  {&Request{ID: 7, Data: data, Ack: "a"}, Request{ID: 7, Data: data, Ack: "a"}},
		"Request of 0 bytes":                  {&Request{}, Request{}},
		"Response with a []uint8, Ack a":      {&Response{Value: data, Ack: "a"}, Response{Value: data, Ack: "a"}},
		"Response with the error late, Ack a": {&Response{Err: errors.New("late"), Ack: "a"}},
		"Response with the error late":        {&Response{Err: errors.New("late")}},
	} {
		for _, m := range messages {
			var text bytes.Buffer
			slog.New(slog.NewTextHandler(&text, nil)).Info("dead letter", slog.Any("message", m))
			slog.New(slog.NewJSONHandler(&text, nil)).Info("dead letter", slog.Any("message", m))
			for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
				fmt.Fprintf(&text, verb, m)
			}
			assert.Equal(t, 6, strings.Count(text.String(), want), text.String())
			for _, payload := range []string{secret, fmt.Sprintf("%x", secret), "115 101 99", "c2VjcmV0"} {
				assert.NotContains(t, text.String(), payload)
			}
		}
	}
}
