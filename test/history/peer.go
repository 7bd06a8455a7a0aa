package history

import (
	"net"
)

// Peer is the recorded client's end of a connection. Other methods of it are not recorded: use
// those here to end it.
type Peer struct {
	net.Conn
	recorder *Recorder
	number   int
}

// Peer returns the recorded end of a connection that was dialed.
func (r *Recorder) Peer(conn net.Conn) *Peer {
	p := &Peer{Conn: conn, recorder: r, number: r.dialed(conn.LocalAddr())}
	r.add(Record{What: Dialed, Conn: p.number})
	return p
}

// Number returns the connection's number.
func (p *Peer) Number() int { return p.number }

// Write implements net.Conn.
func (p *Peer) Write(b []byte) (int, error) {
	p.recorder.add(Record{What: Sending, Conn: p.number, Bytes: b})
	n, err := p.Conn.Write(b)
	p.recorder.add(Record{What: Sent, Conn: p.number, N: n, Err: err})
	return n, err
}

// Read implements net.Conn.
func (p *Peer) Read(b []byte) (int, error) {
	p.recorder.add(Record{What: Reading, Conn: p.number, N: len(b)})
	n, err := p.Conn.Read(b)
	p.recorder.add(Record{What: Got, Conn: p.number, Bytes: b[:n], Err: err})
	return n, err
}

// CloseWrite sends FIN.
func (p *Peer) CloseWrite() error {
	p.recorder.add(Record{What: Finishing, Conn: p.number})
	return p.Conn.(interface{ CloseWrite() error }).CloseWrite()
}

// Close implements net.Conn.
func (p *Peer) Close() error {
	p.recorder.add(Record{What: Closing, Conn: p.number})
	return p.Conn.Close()
}

// Reset closes with RST or, if there is no RST, in order.
func (p *Peer) Reset() error {
	l, ok := p.Conn.(interface{ SetLinger(sec int) error })
	if !ok {
		return p.Close()
	}
	p.recorder.add(Record{What: Resetting, Conn: p.number})
	if err := l.SetLinger(0); err != nil {
		return err
	}
	return p.Conn.Close()
}
