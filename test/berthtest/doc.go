// Package berthtest helps to test handlers of package berth.
//
// A handler can be tested at three levels:
//
//   - Alone: [Socket] is a fake that records what a handler does with its connection, [Buffer]
//     shows it bytes, and [Splits] repeats a test for every way in which the network may cut the
//     input.
//   - In a server: [Serve] starts one on a network in memory, in one line. [Server.Dial] returns a
//     [Client] with expectations.
//   - On real sockets: the same with the option [Loopback].
//
// Everything works inside a bubble of testing/synctest, except Loopback. Time in a bubble is
// virtual: a test of an IdleTimeout of one hour takes milliseconds.
//
//	synctest.Test(t, func(t *testing.T) {
//		server := berthtest.Serve(t, handler)
//		client := server.Dial()
//		client.Send("hello\n")
//		client.ExpectLine("hello")
//	})
//
// The server ends with the test. The test fails if a handler failed unexpectedly, or if a goroutine
// or an actor that the server or a handler has started is still there afterwards.
//
// The package needs a testing.TB and nothing else, so it can be used beside any library of
// assertions. Functions that may end the test must be called on the test's goroutine, as
// testing.T.FailNow itself.
package berthtest
