package check

import (
	"bytes"
	"slices"
)

// line is the search for an order of writes that makes a stream of bytes. Nearly always there is
// one candidate for the next place. If there are more, with equal bytes, it tries them in turn.
type line struct {
	received []byte
	writes   []*operation // by Begin
	whole    bool         // the last write lies on it with its last byte
	furthest int          // how far it came
	mixed    bool         // writes that wait may be mixed

	placed []bool
	chosen []choice
	tries  int
}

// choice is a place in the line, with the other writes that could stand there.
type choice struct {
	at     int // in received
	write  int // in writes
	others []int
}

// mostTries bounds the search; beyond it the stream counts as correct.
const mostTries = 1 << 20

// lay reports whether there is such an order.
func (l *line) lay() bool {
	l.placed = make([]bool, len(l.writes))
	at := 0
	l.whole = true
	for at < len(l.received) {
		l.furthest = max(l.furthest, at)
		candidates := l.candidates(at)
		for len(candidates) == 0 {
			if len(l.chosen) == 0 {
				return false
			}
			last := &l.chosen[len(l.chosen)-1]
			l.placed[last.write] = false
			at, candidates = last.at, last.others
			l.chosen = l.chosen[:len(l.chosen)-1]
		}
		if l.tries++; l.tries > mostTries {
			return true
		}
		next := candidates[0]
		l.chosen = append(l.chosen, choice{at, next, candidates[1:]})
		l.placed[next] = true
		end := at + l.writes[next].length()
		l.whole = end <= len(l.received)
		at = min(end, len(l.received))
	}
	return true
}

// candidates returns the writes that may be the next, those that the stream holds to their end
// first.
func (l *line) candidates(at int) []int {
	var whole, cut, senders []int
	waiting := l.waiting()
	rest := l.received[at:]
	end := unknown // a write that begins later than this record cannot come before the one that ended there
	for i, o := range l.writes {
		if l.placed[i] {
			continue
		}
		if o.begin > end {
			break
		}
		behind := o.mail && slices.Contains(senders, o.by) // mail of one sender stays in its order
		ahead := o.whole != nil && (waiting != nil && waiting != o.whole && !l.mixed || i > 0 && l.writes[i-1].whole == o.whole && !l.placed[i-1])
		switch n := min(len(rest), o.length()); {
		case ahead:
		case behind || !bytes.Equal(rest[:n], o.bytes[:n]):
		case n == o.length():
			whole = append(whole, i)
		default:
			cut = append(cut, i)
		}
		if o.outcome != either && o.outcome != open {
			end = min(end, o.end)
			if o.mail {
				senders = append(senders, o.by)
			}
		}
	}
	return append(whole, cut...)
}

// waiting returns the waiting write of which a part has been placed and the rest has not.
func (l *line) waiting() *operation {
	for i, o := range l.writes {
		if o.whole != nil && i > 0 && l.placed[i-1] && !l.placed[i] && l.writes[i-1].whole == o.whole {
			return o.whole
		}
	}
	return nil
}
