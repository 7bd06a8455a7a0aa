package check

// permits follows how many connections hold a permit of MaxConnections. A permit is taken before
// Accepted, and is free once the server's FIN is sent. Neither the handler nor the peer sees that
// moment. So two bounds are known. A connection surely holds its permit until the beginning of its
// end. It surely holds it no more once the peer has read the FIN, or Closed has returned.
type permits struct {
	surely    int
	maybe     int
	dialed    int
	accepted  int
	suspended bool
}

func (p *permits) take(c *conn) {
	c.holds, c.mayHold = true, true
	p.accepted++
	p.surely++
	p.maybe++
	if most := c.world.MaxConnections; most > 0 && p.surely > most {
		c.fail(Cap, "%d of at most %d", p.surely, most)
	}
}

// mayGive notes that the permit may be free from now on.
func (p *permits) mayGive(c *conn) {
	if c.holds {
		c.holds = false
		p.surely--
	}
}

// give notes that the permit is free.
func (p *permits) give(c *conn) {
	p.mayGive(c)
	if c.mayHold {
		c.mayHold = false
		p.maybe--
	}
}

// rest looks for clients that wait while there is room.
func (p *permits) rest(j *judge) {
	if j.world.MaxConnections == 0 || j.world.Rejects || p.suspended || j.shutdown || j.world.NoPeers {
		return
	}
	if waiting := p.dialed - p.accepted; waiting > 0 && p.maybe < j.world.MaxConnections {
		j.fail(0, AcceptAtRest, "%d wait, %d of %d are open", waiting, p.maybe, j.world.MaxConnections)
	}
}
