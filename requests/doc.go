// Package requests pairs the requests over one connection with their answers: a Pipeline by their
// order, as Redis and HTTP/1.1 do, a Mux by an identifier in each (a correlation identifier).
//
//	pipeline := requests.NewPipeline(newReader, nil, requests.Options{})
//	_, err := dialer.Dial(ctx, "127.0.0.1:6379", pipeline.Handler(nil), berth.DialOptions{})
//	if err != nil {
//		return err
//	}
//	reply, err := pipeline.Do(ctx, []byte("PING\r\n"))
//
// There are three ways to ask. Do waits, for plain goroutines. Start takes a callback, for
// handlers. A *Request that is sent to the connection's PID is answered with a *Response, for
// actors; so Proto.Actor's RequestFuture and ReenterAfter work with it.
//
// Every request that was taken ends exactly once: with its answer, with ErrTimeout, or with the end
// of the connection as a *ClosedError, or with ErrReplaced. Its answer may come after its time. A
// Pipeline keeps its place until then and drops the answer, so that the next one does not take it.
// A Mux forgets its identifier, and drops the answer as one that nothing waits for.
//
// Answers are read also while requests are being written, whatever ReadGate says: else this side,
// and a peer that reads no more before its answers are read, would wait for each other.
//
// A Pipeline or a Mux has one connection at a time. With package reconnect it goes on with the next
// one; what was outstanding has failed with the connection before, and is not sent again.
//
// The files of this package:
//
//	table.go     the requests without an answer: order, identifiers, deadlines; pure
//	exchange.go  what a Pipeline and a Mux share: connection, timer, callbacks
//	pipeline.go  answers in order
//	mux.go       answers by identifier
//	receiver.go  the handler of the connection
//	errors.go    errors, options, messages
package requests
