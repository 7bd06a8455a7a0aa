package tcpactor

import "github.com/go-berth/berth/protocol"

// Factory makes the receiver of one connection: Handlers, Functions or Actors. The factories differ
// in how a handler is written; the guarantees are the same behind each.
type Factory = protocol.Factory

// Receiver is a handler as the connection sees it.
type Receiver = protocol.Receiver

// Drainer is an optional part of a Receiver. With it the Receiver itself decides when to close on a
// shutdown, or at the connection's MaxAge. Other connections are closed once they are quiet.
type Drainer interface{ Drains() bool }
