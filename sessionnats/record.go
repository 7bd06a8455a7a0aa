package sessionnats

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-berth/berth/session"
)

// format is the number of the form in which a session is stored.
const format = 1

// record is a session as it is stored, as JSON. No bytes at all stand for a session that is gone.
type record struct {
	Format  int       `json:"v"`
	Digest  []byte    `json:"digest"` // of the secret
	Epoch   uint64    `json:"epoch"`
	Present uint64    `json:"presented,omitempty"`
	Heard   bool      `json:"confirmed,omitempty"`
	Attach  bool      `json:"attached,omitempty"`
	Ended   bool      `json:"ended,omitempty"`
	Expires time.Time `json:"expires"`
	Log     stored    `json:"log"`
}

type stored struct {
	Sent     uint64   `json:"sent,omitempty"`
	Kept     [][]byte `json:"kept,omitempty"` // the numbers are the last ones up to Sent
	Acked    uint64   `json:"acked,omitempty"`
	Handled  uint64   `json:"handled,omitempty"`
	Messages int      `json:"maxMessages,omitempty"`
	Bytes    int      `json:"maxBytes,omitempty"`
	Overflow uint8    `json:"overflow,omitempty"`
}

func encode(state *session.State, expires time.Time) ([]byte, error) {
	r := record{
		Format: format, Digest: state.Secret[:], Epoch: state.Epoch, Present: state.Presented, Heard: state.Confirmed,
		Attach: state.Attached, Ended: state.Ended, Expires: expires,
		Log: stored{
			Sent: state.Log.Sent, Acked: state.Log.Acked, Handled: state.Log.Handled,
			Messages: state.Log.Capacity.Messages, Bytes: state.Log.Capacity.Bytes, Overflow: uint8(state.Log.Capacity.Overflow),
		},
	}
	for _, message := range state.Log.Kept {
		r.Log.Kept = append(r.Log.Kept, message.Data)
	}
	return json.Marshal(r)
}

func decode(id string, data []byte) (session.State, time.Time, error) {
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return session.State{}, time.Time{}, fmt.Errorf("sessionnats: session %s: %w", id, err)
	}
	state := session.State{
		ID: id, Epoch: r.Epoch, Presented: r.Present, Confirmed: r.Heard, Attached: r.Attach, Ended: r.Ended,
		Log: session.Log{
			Sent: r.Log.Sent, Acked: r.Log.Acked, Handled: r.Log.Handled,
			Capacity: session.Limits{Messages: r.Log.Messages, Bytes: r.Log.Bytes, Overflow: session.Overflow(r.Log.Overflow)},
		},
	}
	if r.Format != format || len(r.Digest) != len(state.Secret) || uint64(len(r.Log.Kept)) > r.Log.Sent {
		return session.State{}, time.Time{}, fmt.Errorf("sessionnats: session %s is stored in a form that this version does not know: %d", id, r.Format)
	}
	copy(state.Secret[:], r.Digest)
	base := r.Log.Sent - uint64(len(r.Log.Kept))
	for i, data := range r.Log.Kept {
		state.Log.Kept = append(state.Log.Kept, session.Message{Number: base + uint64(i) + 1, Data: data})
		state.Log.Bytes += len(data)
	}
	return state, r.Expires, nil
}
