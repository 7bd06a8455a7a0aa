package check

import (
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// gate checks a Data that begins while writes are pending.
func (c *conn) gate() {
	if c.causes.possible&only(protocol.ReasonPeerReset) != 0 {
		return // then the writes have failed, and the peer's input is still shown
	}
	count, size := c.ledger.surely(c, c.quietFrom)
	switch c.world.Options.ReadGate {
	case connection.GateQuiet:
		if count > 0 {
			c.fail(Quiet, "%d writes of %d bytes", count, size)
		}
	case connection.GateLowWater:
		if size > c.world.Options.LowWater {
			c.fail(Quiet, "%d bytes, over LowWater %d", size, c.world.Options.LowWater)
		}
	case connection.GateOff:
	}
}
