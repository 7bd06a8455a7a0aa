package session

import "errors"

// Errors that callers branch on with errors.Is.
var (
	// ErrToken refuses a token that is forged, malformed, of no session, or of a session that has
	// expired. These are not told apart: an answer must not tell which sessions exist.
	ErrToken = errors.New("session: unknown token")
	// ErrEpoch refuses a resume with an epoch that has passed: another connection has taken the
	// session over since, and its client has been heard.
	ErrEpoch = errors.New("session: the epoch has passed, the session was taken over")
	// ErrFuture refuses an epoch that has not begun, or the number of a message that was never
	// sent.
	ErrFuture = errors.New("session: a number from the future")
	// ErrGap refuses a message that is not the next one.
	ErrGap = errors.New("session: a message is missing before this one")
	// ErrFenced refuses calls of a connection that has lost its session: to another connection, or
	// because the session was closed or has expired.
	ErrFenced = errors.New("session: another connection has it now, or it has ended")
	// ErrLogFull refuses a message because the messages before it are not acknowledged yet.
	ErrLogFull = errors.New("session: too much is not acknowledged yet")
	// ErrTooLarge refuses a message that does not fit into an empty log either.
	ErrTooLarge = errors.New("session: a message larger than the log")
	// ErrAttached refuses a Post to a session that has a connection: the message is that
	// connection's to send.
	ErrAttached = errors.New("session: it has a connection")
	// ErrStoreFull refuses a new session because the store has no room for another.
	ErrStoreFull = errors.New("session: no room for another session")
	// ErrNotFound is what a Store answers for a session that it has not.
	ErrNotFound = errors.New("session: no such session")
)
