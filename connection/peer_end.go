package connection

// This file detects the peer's end while the handler is shown nothing (it is paused, has no demand,
// waits for memory, or holds a full read buffer), and decides what happens to the input then.
//
// The transport announces the end. Poll knows of it without reading. Stream lets its reader go on
// until the read buffer is full: so it meets the end of a peer that sent no more than that. If the
// reader has stopped, the sweep asks the socket, provided that it is one of the system's. The end
// of any other net.Conn is then unknown until the handler is shown something.

// hold looks for the peer's end while the handler is shown nothing. It returns attend if the
// connection has ended, nil otherwise.
func (c *Connection) hold() any {
	if c.cause.Load() != nil {
		return c.holdLastWords()
	}
	if !c.watched() && c.phase.Load()&unwatched == 0 {
		c.phase.Or(unwatched)
	}
	return c.askForEnd(false)
}

// holdLastWords is hold for a connection after its peer is gone: unread bytes wait for the handler.
// If there are none, the input has ended.
func (c *Connection) holdLastWords() any {
	if c.flags.inputEnded || c.state() != flushing {
		return nil
	}
	c.watched()
	if finished, err := c.conn().EndSeen(false); !finished && err == nil || c.conn().Unread() > 0 || c.waits() {
		return nil
	}
	c.flags.inputEnded = true
	return attendNow
}

// watched makes the transport look for the end, and reports whether the transport will announce it.
func (c *Connection) watched() bool {
	room := max(0, c.shared.options.ReadBufferSize-c.input.Len())
	if c.shared.budget == nil || room == 0 {
		return c.conn().Hold(room)
	}
	return c.conn().Hold(0) || !c.conn().Ready(c.ahead(room)) // one read at most: more would have to be counted
}

// askForEnd asks the transport for the peer's end and handles it: a FIN begins HalfCloseTimeout, a
// reset ends the connection. It returns attend if the connection has ended. look says that the
// sweep has found the end.
func (c *Connection) askForEnd(look bool) any {
	finished, err := c.conn().EndSeen(look)
	switch {
	case err != nil:
		c.lose(err)
		return attendNow
	case finished && c.phase.Load()&halfClosed == 0:
		c.phase.Or(halfClosed | inputOver)
	}
	return nil
}

// checkForEnd lets the sweep check a connection if the transport does not announce its end.
func (c *Connection) checkForEnd(phase uint32) {
	if phase&unwatched == 0 || c.cause.Load() != nil {
		return
	}
	if finished, broken := c.conn().LookForEnd(); broken || finished && phase&halfClosed == 0 {
		c.signal(signalPeerEnded)
	}
}

// lose ends an open connection that the peer has reset, or that has broken in another way, before
// the handler was shown everything that came. Nothing more is written.
func (c *Connection) lose(err error) {
	if c.end(c.classify("read", err)) {
		c.leaveOpen(true)
		c.writer.order(orderGiveUp)
	}
}

// leaveOpen leaves the state open after the peer is gone. The transport still has what the peer
// sent before. With salvage the handler is shown those bytes, as far as it has demand. For a
// handler that is paused or has no demand the wait is LingerTimeout at most, which begins anew with
// each Data.
func (c *Connection) leaveOpen(salvage bool) {
	c.setState(flushing)
	if salvage && c.phase.Load()&(sated|securing) == 0 { // after a StartTLS, plain text is not shown
		c.phase.Or(salvaging)
		c.shared.noteClosing()
	}
	c.mailbox.Schedule()
}

// wantNoInput has the handler shown no more input: it has failed, or had to make room for another,
// or there was a Close. A reset may have ended the connection before that, or may still do so.
func (c *Connection) wantNoInput() {
	c.phase.Or(sated)
	c.phase.And(^salvaging)
}

func (c *Connection) salvaging() bool { return c.phase.Load()&salvaging != 0 }

// salvaged notes that the handler is shown unread bytes, or has been: the wait for it begins anew.
func (c *Connection) salvaged() {
	c.makeRare().salvaged = true
	for {
		before := c.phase.Load()
		if c.phase.CompareAndSwap(before, before^another) {
			return
		}
	}
}

// giveUpSalvage ends the wait, unless something was shown since the wait was over.
func (c *Connection) giveUpSalvage() {
	if r := c.makeRare(); r.salvaged {
		r.salvaged = false
		return
	}
	c.phase.And(^salvaging)
	c.leftUnread(c.conn().Unread())
	c.flags.aborted = true
	c.conn().Abort() // a write may be blocked
}

// leftUnread counts bytes that came and that the handler will not consume.
func (c *Connection) leftUnread(n int) {
	if n > 0 {
		c.makeRare().unread.Add(uint64(n))
	}
}
