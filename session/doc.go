// Package session keeps a conversation over several connections of one client: a client that comes
// back goes on where it was. It has no network in it. The program sends the numbers and the
// messages in a format of its own, and calls this package with what it received.
//
// Both sides number what they send, keep it until the other side has acknowledged it, and count
// what they have handled. A server has Sessions, and a Session for each connection:
//
//	sessions := session.New(session.NewMemory(session.MemoryOptions{}), session.Options{})
//
//	// A new client: it gets welcome.Token and welcome.Epoch.
//	one, welcome, err := sessions.Open(ctx)
//	// One that comes back.
//	one, resumed, err := sessions.Resume(ctx, token, epoch, handled)
//
//	message, err := one.Send(ctx, line)         // write the message, with its number
//	fresh, err := one.Deliver(ctx, number, f)   // a message of the client's
//	err = one.Acknowledge(ctx, number)          // the client has handled ours up to number
//	err = one.Release(ctx)                      // the connection has ended
//
// A client written in Go has a Client.
//
// Guarantees, over any sequence of lost connections, resumes and duplicate logins:
//
//   - The handler gets each message at most once and in order. Calls for one session never overlap,
//     not even those of its old and its new connection, if both are of one Sessions.
//   - Nothing is lost in silence: a resume says whether everything that was missed can be repeated,
//     and if not which numbers are gone. A message whose Deliver has failed may be delivered again.
//     Only if the store was not sure, and another process takes the session before this one has
//     reached the store again, is it lost; then an ErrFenced names it.
//   - A resume takes the session over. The old connection is fenced: its calls return ErrFenced,
//     and change nothing.
//
// A message that has been delivered counts as handled, also where the handler then panics. What a
// crash of the process leaves of a session is the Store's: Memory leaves none, and a client that
// comes back after it gets ErrToken.
package session
