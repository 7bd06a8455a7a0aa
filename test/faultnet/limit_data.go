package faultnet

// LimitData closes the connection after a number of bytes of one direction, and lets no more bytes
// through.
type LimitData struct{ Bytes int }

func (l LimitData) stage(beginning) stage { return &limitData{left: l.Bytes} }

type limitData struct {
	left int
	over bool
}

func (s *limitData) pass(p piece) []piece {
	switch {
	case s.over:
		p.at = never
		return []piece{p}
	case p.end != none || len(p.data) < s.left:
		s.left -= len(p.data)
		return []piece{p}
	}
	s.over = true
	return []piece{
		{at: p.at, data: p.data[:s.left]},
		{at: p.at, end: closed, toxic: true},
		{at: never, data: p.data[s.left:]},
	}
}
