package record

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// version is that of the files written. Read knows no other one.
const version = 1

// Header is the first line of a recording.
type Header struct {
	Berth   string    `json:"berth"` // "recording"
	Version int       `json:"version"`
	Began   time.Time `json:"began"`
	PID     string    `json:"pid"`
	Local   string    `json:"local"`
	Remote  string    `json:"remote"`
	Payload bool      `json:"payload"` // the bytes of Data are there
}

// Kind is what an Event tells of.
type Kind string

// The kinds of events. Those up to Closed are what the handler was told.
const (
	Accepted   Kind = "accepted"    // Restarts
	Data       Kind = "data"        // N, Bytes, EOF
	PeerClosed Kind = "peer closed" //
	Writable   Kind = "writable"    // Ready
	Draining   Kind = "draining"    //
	TLSStarted Kind = "TLS started" //
	Message    Kind = "message"     // Type
	Closing    Kind = "closing"     // Reason, Text
	Closed     Kind = "closed"      // Reason, Text
	// Returned: the call of the event before has returned. It follows each Data, and other events
	// where there is an error.
	Returned Kind = "returned" // Left, Text
	// Panicked: the call has panicked, or has ended its goroutine; then there is no Text.
	Panicked Kind = "panicked" // Text
	// Full: the file has reached its limit, and what follows is missing.
	Full Kind = "full"
)

// Event is one line of a recording. The fields that its Kind does not name are zero.
type Event struct {
	At       time.Duration `json:"at"` // since Began
	Kind     Kind          `json:"event"`
	N        int           `json:"n,omitempty"`        // bytes that are shown for the first time
	Bytes    []byte        `json:"bytes,omitempty"`    // these bytes, with a payload
	EOF      bool          `json:"eof,omitempty"`      // nothing follows
	Left     int           `json:"left,omitempty"`     // bytes that the handler did not consume
	Ready    bool          `json:"ready,omitempty"`    // see protocol.Writable
	Restarts int           `json:"restarts,omitempty"` // see protocol.Accepted
	Type     string        `json:"type,omitempty"`     // of a message, in Go's words
	Reason   string        `json:"reason,omitempty"`   // in words
	Text     string        `json:"text,omitempty"`     // an error, or what was panicked with
}

// Recording is a file that was read.
type Recording struct {
	Header
	Events []Event
	// Truncated says that the end is missing: the file was full, or the process ended.
	Truncated bool
}

// Panic returns what a handler panicked with the last time, as text.
func (r *Recording) Panic() (text string, panicked bool) {
	for _, event := range r.Events {
		if event.Kind == Panicked {
			text, panicked = event.Text, true
		}
	}
	return text, panicked
}

// Load reads the recording in a file.
func Load(name string) (*Recording, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	r, err := Read(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// Read reads a recording. A last line that is cut off is left out, and the recording is Truncated.
func Read(from io.Reader) (*Recording, error) {
	lines := bufio.NewReader(from)
	r := &Recording{Truncated: true}
	first, err := lines.ReadBytes('\n')
	if err != nil && err != io.EOF {
		return nil, err
	}
	if json.Unmarshal(first, &r.Header) != nil || r.Berth != "recording" {
		return nil, errors.New("berth: this is no recording: its first line is none of a recording's")
	}
	if r.Version != version {
		return nil, fmt.Errorf("berth: a recording of version %d; this program knows version %d", r.Version, version)
	}
	for number := 2; ; number++ {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return r, nil // what is left is no whole line
		}
		if err != nil {
			return nil, err
		}
		var event Event
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("berth: line %d of a recording: %w", number, err)
		}
		r.Events = append(r.Events, event)
		r.Truncated = event.Kind != Closed
	}
}
