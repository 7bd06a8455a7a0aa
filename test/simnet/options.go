package simnet

import "time"

const (
	defaultName       = "sim"
	defaultBufferSize = 64 << 10
	defaultBacklog    = 128
)

// Options describe a network. The zero value is a network without delay, with ordinary buffers.
// They are taken by value, so a change made later changes nothing.
type Options struct {
	// Name is the host part of the addresses; "" is "sim". It routes nothing: two networks of one
	// name do not meet.
	Name string

	// BufferSize is how many bytes, per direction, Write accepts that the peer has not read; 0 or
	// less is 64 KiB. With all of them in use Write blocks, because the peer does not read.
	BufferSize int

	// Window is how many of those BufferSize bytes may have left the sender: on the wire or in the
	// receiver's buffer. The others wait in the sender's queue until the receiver reads, and a
	// reset loses them. 0 or less is half of BufferSize; more than BufferSize is BufferSize, and a
	// reset then loses nothing unless the network is partitioned.
	Window int

	// Latency is how long anything takes from one end to the other; 0 or less is no time. A dial
	// takes two of them.
	Latency time.Duration

	// Backlog is how many dialed connections may wait for Accept; 0 or less is 128. Further dials
	// block, as in the kernel when a SYN finds the queue full. Pipe has no use for it.
	Backlog int
}

func (o Options) withDefaults() Options {
	if o.Name == "" {
		o.Name = defaultName
	}
	if o.BufferSize <= 0 {
		o.BufferSize = defaultBufferSize
	}
	if o.Window <= 0 {
		o.Window = (o.BufferSize + 1) / 2 // rounded up: a window of nothing would pass nothing
	}
	o.Latency = max(o.Latency, 0)
	if o.Backlog <= 0 {
		o.Backlog = defaultBacklog
	}
	return o
}
