// Package record writes what a connection's handler was told to a file, and reads such files.
//
// Handler is a middleware: it records connections of a server. With berthtest.Replay a recording
// becomes a test: a handler that has panicked in production panics there again.
//
// # Format
//
// A file is a text of lines, each a JSON object. The first one is a Header; its field "berth" is
// "recording" and "version" is 1; "local" and "remote" are the addresses. The others are Events, in
// the order in which the handler got them:
//
//	{"berth":"recording","version":1,"began":"2026-01-02T15:04:05Z","pid":"$7","payload":true}
//	{"at":1200,"event":"accepted"}
//	{"at":51000,"event":"data","n":5,"bytes":"aGVsbG8="}
//	{"at":53000,"event":"returned","left":2}
//	{"at":99000,"event":"data","n":1,"bytes":"eA=="}
//	{"at":99500,"event":"panicked","text":"index out of range"}
//	{"at":99900,"event":"closing","reason":"handler panic","text":"…"}
//	{"at":99999,"event":"closed","reason":"handler panic","text":"…"}
//
// "at" is in nanoseconds since "began". A file that ends without "closed" belongs to a connection
// that was open when the file was full (then its last event is "full") or when the process ended. A
// reader ignores fields that it does not know; a change that such a reader would misunderstand gets
// another version.
package record
