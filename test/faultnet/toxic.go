package faultnet

import (
	"math/rand/v2"
	"time"
)

// Toxic is a fault that a network applies to the bytes of a connection, to both directions alike
// and independently: see Inbound and Outbound. It is one of Latency, Bandwidth, SlowClose, Timeout,
// ResetPeer, Slicer, LimitData and Noop, or what those two functions return.
type Toxic interface {
	// stage returns what it does to one direction of a connection that begins now.
	stage(d beginning) stage
}

// beginning describes the direction of a stage.
type beginning struct {
	inbound bool // from the outside to the user of the connection
	at      time.Time
	random  *rand.Rand
}

// stage changes the pieces of one direction, in their order. Its results are in order, too, and
// never earlier than the results before. One goroutine calls it. It reads no clock but the pieces'
// own.
type stage interface {
	pass(p piece) []piece
}

// spontaneous is a stage that has a piece of its own before any other has come, for an event that
// only depends on time.
type spontaneous interface {
	first() piece
}

// piece is a part of a stream under way: some bytes, or its end.
type piece struct {
	at    time.Time // not before; see never
	data  []byte
	end   ending
	toxic bool // made by a toxic, and removed with it
}

// ending is an end of a stream.
type ending int

const (
	none   ending = iota // data
	fin                  // the end of this direction
	closed               // the end of the connection, by close
	reset                // the end of the connection, by RST
)

// never is the time of pieces that a toxic holds back until it is removed.
var never = time.Unix(1<<40, 0)

// Noop does nothing.
type Noop struct{}

func (Noop) stage(beginning) stage { return Noop{} }

func (Noop) pass(p piece) []piece { return []piece{p} }

// Inbound applies a toxic to the bytes that are read from a connection only.
func Inbound(t Toxic) Toxic { return oneWay{t, true} }

// Outbound applies a toxic to the bytes that are written to a connection only.
func Outbound(t Toxic) Toxic { return oneWay{t, false} }

type oneWay struct {
	Toxic
	inbound bool
}

func (o oneWay) stage(d beginning) stage {
	if o.inbound != d.inbound {
		return Noop{}
	}
	return o.Toxic.stage(d)
}
