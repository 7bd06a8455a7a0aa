// Package reconnect is a client that connects again: it dials, waits longer after each failure,
// keeps writes while there is no connection, and says of each write what is known of it.
//
//	client, err := reconnect.New(ctx, dialer, "127.0.0.1:7000", handler, reconnect.Options{})
//	if err != nil {
//		return err
//	}
//	defer client.Close()
//	if _, err = client.Write([]byte("hello\n")); err != nil {
//		return err
//	}
//	err = client.Flush(ctx) // Close drops what waits
//
// Each connection is one of the dialer's, with a handler of its own from the factory, in any form.
// What the handler writes in Accepted comes before every write of the client's.
//
// A write has exactly one outcome. Written: the kernel has taken all its bytes. NeverSent: not one
// byte of it was sent. MaybeSent: the connection ended with it, and some of its bytes may have
// reached the peer. A write of which no byte was sent waits for the next connection, in its place.
// One that may have been sent is sent again only if it was marked Idempotent.
//
// Written does not say that the peer has read the bytes: the kernel loses what it has taken where
// the connection is reset. Only an answer of the peer's tells; see package requests.
//
// The files of this package:
//
//	client.go     the client, and the goroutine that connects
//	options.go    options, defaults, checks
//	event.go      states and events, outcomes
//	send.go       writes go to the connection
//	outbox.go     writes without an outcome: the accounts, without a connection
//	backoff.go    how long to wait
//	receiver.go   between the connection and the user's handler
//	guard.go      calls of the user's code
package reconnect
