package check

// places follows how many connections are open: from Accepted, which comes after the permit was taken, to the return of Closed, which
// comes before it is given back.
type places struct {
	open      int
	dialed    int
	accepted  int
	suspended bool
}

func (p *places) take(c *conn) {
	c.counted = true
	p.accepted++
	p.open++
	if most := c.world.MaxConnections; most > 0 && p.open > most {
		c.fail(Cap, "%d of at most %d", p.open, most)
	}
}

func (p *places) give(c *conn) {
	if c.counted {
		c.counted = false
		p.open--
	}
}

// rest looks for clients that wait although there is room.
func (p *places) rest(j *judge) {
	if j.world.MaxConnections == 0 || j.world.Rejects || p.suspended || j.shutdown || j.world.NoPeers {
		return
	}
	if waiting := p.dialed - p.accepted; waiting > 0 && p.open < j.world.MaxConnections {
		j.fail(0, AcceptAtRest, "%d wait, %d of %d are open", waiting, p.open, j.world.MaxConnections)
	}
}
