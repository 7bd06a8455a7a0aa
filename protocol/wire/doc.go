// Package wire has protobuf forms of the messages that may cross nodes: the commands of a
// connection, its replies and its events. Proto.Actor's remote sends protobuf messages only.
// Anything else is logged by the sender's endpoint and dropped, and the sender hears nothing.
//
// A program that imports this package may send its commands to the PID of any connection, on this
// node or another. The connection answers in the same forms:
//
//	message, err := wire.Encode(&berth.Write{Data: line, Ack: 7})
//	if err != nil {
//		return err // it cannot be sent: the Ack is a function, for example
//	}
//	ctx.Request(pid, message) // answered by *wire.Written or *wire.WriteFailed
//
// Encode and Decode convert. Encode refuses what cannot be sent, so that the error reaches the
// caller. Decode refuses what no Encode has made: it never panics, whatever came from the network.
// An Ack or a Token may be a bool, a number, a string, a []byte or a protobuf message. Errors keep
// their text, and the errors that they match: errors.Is works on both sides.
//
// Commands to a listener have no form here: a node does not stop the listener of another.
//
// The functions of this package may be called by any goroutine.
package wire

//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.50.0 generate .
