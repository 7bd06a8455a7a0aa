package record_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/record"
)

const header = `{"berth":"recording","version":1,"began":"2026-01-02T15:04:05Z","pid":"$7","local":"a","remote":"b","payload":true}` + "\n"

func TestTheFormatIsThatOfTheDocumentation(t *testing.T) {
	r, err := record.Read(strings.NewReader(header +
		`{"at":51000,"event":"data","n":5,"bytes":"aGVsbG8=","eof":true}` + "\n" +
		`{"at":53000,"event":"returned","left":2,"text":"no","new field":1}` + "\n" +
		`{"at":99500,"event":"panicked","text":"index out of range"}` + "\n" +
		`{"at":99999,"event":"closed","reason":"handler panic"}` + "\n"))
	require.NoError(t, err)
	assert.Equal(t, time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC), r.Began)
	assert.Equal(t, "$7", r.PID)
	assert.Equal(t, []record.Event{
		{At: 51 * time.Microsecond, Kind: record.Data, N: 5, Bytes: []byte("hello"), EOF: true},
		{At: 53 * time.Microsecond, Kind: record.Returned, Left: 2, Text: "no"},
		{At: 99500, Kind: record.Panicked, Text: "index out of range"},
		{At: 99999, Kind: record.Closed, Reason: "handler panic"},
	}, r.Events)
	assert.False(t, r.Truncated)
	text, panicked := r.Panic()
	assert.True(t, panicked)
	assert.Equal(t, "index out of range", text)
}

func TestALineThatIsCutOffIsLeftOut(t *testing.T) {
	r, err := record.Read(strings.NewReader(header + `{"at":1,"event":"accepted"}` + "\n" + `{"at":2,"eve`))
	require.NoError(t, err)
	assert.Len(t, r.Events, 1)
	assert.True(t, r.Truncated)
	_, panicked := r.Panic()
	assert.False(t, panicked)
}

func TestBadFilesAreRefusedInOneSentence(t *testing.T) {
	for text, says := range map[string]string{
		"":                         "berth: this is no recording: its first line is none of a recording's",
		"hello\n":                  "berth: this is no recording: its first line is none of a recording's",
		`{"berth":"other"}` + "\n": "berth: this is no recording: its first line is none of a recording's",
		header + "hello\n":         "berth: line 2 of a recording: invalid character 'h' looking for beginning of value",
		`{"berth":"recording","version":2}` + "\n": "berth: a recording of version 2; this program knows version 1",
	} {
		_, err := record.Read(strings.NewReader(text))
		assert.EqualError(t, err, says)
	}
	_, err := record.Load(filepath.Join(t.TempDir(), "nothing"))
	assert.ErrorIs(t, err, os.ErrNotExist)
	name := filepath.Join(t.TempDir(), "bad")
	require.NoError(t, os.WriteFile(name, []byte("hello\n"), 0o600))
	_, err = record.Load(name)
	assert.ErrorContains(t, err, name+": berth: this is no recording")
}

func TestBadOptionsAreRefusedInOneSentence(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for says, options := range map[string]record.Options{
		"berth: no Dir for the recordings":                           {},
		"berth: the Dir for the recordings is no directory: " + file: {Dir: file},
		"berth: MaxBytes of a recording is 1; the least is 32768":    {Dir: dir, MaxBytes: 1},
		"berth: MaxFiles of recordings is -1; the least is 1":        {Dir: dir, MaxFiles: -1},
	} {
		_, err := record.Handler(handler, options)
		assert.EqualError(t, err, says)
	}
	_, err := record.Handler(handler, record.Options{Dir: filepath.Join(dir, "nothing")})
	assert.ErrorIs(t, err, os.ErrNotExist)
}

var handler = tcpactor.HandlerFunc(func(protocol.Socket, *protocol.Buffer) error { return nil })
