package tcpactor

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/test/sched"
)

// act is one move on a stage: what is done, to which actor, and how long after the beginning.
type act struct {
	letter byte
	node   int
	after  time.Duration
}

func (a act) String() string {
	text := fmt.Sprintf("%c%d", a.letter, a.node)
	if a.after > 0 {
		text += "+" + a.after.String()
	}
	return text
}

// do makes a move.
//
//	M  a message             X  one whose handler ends its goroutine
//	B  one that blocks       P  one whose handler panics
//	T  one that computes     S  one whose handler sends a message to the next actor
//	E  input                 F  more messages than one turn handles
//	D  input that blocks     R  the goroutine lends itself: Run
//	O  the gate opens        N  the same: RunNow
//	K  Close                 A  input that blocks, for all actors
func (s *stage) do(a act) {
	n := s.nodes[a.node-1]
	s.senders++
	from := s.senders
	switch a.letter {
	case 'F':
		for range loopThroughput + 1 {
			n.post('f', from)
		}
		n.post('M', from)
	case 'E':
		n.arrive(false)
	case 'D':
		n.arrive(true)
	case 'A':
		for _, n := range s.nodes {
			n.arrive(true)
		}
	case 'O':
		n.open()
	case 'R':
		n.mailbox.Run()
	case 'N':
		n.mailbox.RunNow()
	case 'K':
		s.close()
	default:
		n.post(a.letter, from)
	}
}

// start has moves made at their times, each by a goroutine of its own.
func (s *stage) start(acts []act) {
	for _, a := range acts {
		s.moving.Add(1)
		s.run.Start(0, func() {
			defer s.moving.Done() // a lent goroutine may end by Goexit
			if a.after > 0 {
				sched.Sleep(a.after)
			}
			s.do(a)
		})
	}
}

func (s *stage) close() {
	if !s.closed {
		s.closed = true
		s.note("closed", 0, 0, 0)
		s.loop.Close()
	}
}

// rest returns when nothing can go on until time passes, after at least d.
func (s *stage) rest(d time.Duration) {
	if d > 0 {
		sched.Sleep(d)
	}
	s.run.Rest()
}

// check looks for messages that were not handled, of all actors but those whose turn blocks.
func (s *stage) check(when string) {
	for _, n := range s.nodes {
		if n.gate != nil {
			continue
		}
		for _, from := range senders(n) {
			if n.handled[from] < n.sent[from] {
				s.fail("%s, actor %d has handled %d of the %d messages of sender %d", when, n.number, n.handled[from], n.sent[from], from)
			}
		}
		if n.served < n.arrived && !s.closed {
			s.fail("%s, actor %d has been served %d of %d pieces of input", when, n.number, n.served, n.arrived)
		}
	}
}

func senders(n *node) (all []int) {
	for from := -len(n.stage.nodes); from <= n.stage.senders; from++ {
		if n.sent[from] > 0 {
			all = append(all, from)
		}
	}
	return all
}

// settled returns when all gates have opened, and so every message has been handled.
func (s *stage) settled() {
	for open := true; open; {
		open = false
		s.rest(0)
		for _, n := range s.nodes {
			open = n.open() || open
		}
		if !open && s.computing() {
			s.rest(tick)
			open = true
		}
	}
	s.check("with all gates open")
}

func (s *stage) computing() bool {
	for _, b := range s.blockings {
		if b.to.IsZero() {
			return true
		}
	}
	return false
}

// end checks that the workers become fewer, and that nothing is left of the event loop after Close.
func (s *stage) end() {
	s.settled()
	if !s.closed {
		if now := look(s.loop); now.awake > 0 || now.blocked > 0 || !now.sleeping || now.parked != now.workers-1 {
			s.fail("all turns have returned, and the workers are %+v", now)
		}
		s.rest(parkedFor + tick)
		if now := look(s.loop); now != asleep {
			s.fail("the workers that nothing needs remain for longer than %v: %+v", parkedFor, now)
		}
		s.close()
	}
	joined := make(chan struct{})
	seam.Go(func() {
		s.loop.Wait()
		close(joined)
	})
	wait := seam.Wait()
	select {
	case <-joined:
	case <-time.After(time.Minute):
		s.fail("the event loop does not end: %+v", look(s.loop))
	}
	wait.Over()
	if now := look(s.loop); now != (census{closed: true}) {
		s.fail("after its end the event loop has %+v", now)
	}
	s.check("at the end")
	s.handOvers = s.taken()
}

// taken returns how many turns blocked for long enough to be taken over.
func (s *stage) taken() (n int) {
	for _, b := range s.blockings {
		if b.to.Sub(b.from) >= 2*tick {
			n++
		}
	}
	return n
}

// A beginning is what the event loop is doing when the moves are made. It ends with a tick of the
// monitor's that has not been looked at, so that the moves and the monitor meet.
type beginning struct {
	name string
	make func(*stage)
}

var beginnings = []beginning{
	{"asleep", func(*stage) { sched.Sleep(tick) }},
	{"about to doze", func(*stage) { sched.Sleep(dozeAfter * tick) }},
	{"dozing", func(*stage) { sched.Sleep((dozeAfter + 3) * tick) }},
	{"a turn has begun to block", func(s *stage) {
		sched.Sleep(tick)
		s.do(act{letter: 'B', node: 1})
		s.rest(0)
	}},
	{"a turn has blocked for one tick", func(s *stage) {
		sched.Sleep(tick)
		s.do(act{letter: 'B', node: 1})
		sched.Sleep(tick)
	}},
	{"a turn was taken over", func(s *stage) {
		s.do(act{letter: 'B', node: 1})
		sched.Sleep(4 * tick)
	}},
	{"two turns were taken over", func(s *stage) {
		s.do(act{letter: 'B', node: 1})
		s.do(act{letter: 'D', node: 2})
		sched.Sleep(6 * tick)
	}},
	{"a parked worker's time is over", func(s *stage) {
		s.do(act{letter: 'B', node: 1})
		s.rest(3 * tick)
		s.nodes[0].open()
		s.rest(0)
		sched.Sleep(parkedFor)
	}},
	{"a parked worker's time is over, and two workers pay off", func(s *stage) {
		s.do(act{letter: 'B', node: 1})
		s.rest(3 * tick)
		s.nodes[0].open()
		s.rest(0)
		sched.Sleep(parkedFor)
		grow(s.loop)
	}},
	{"two workers", func(s *stage) {
		sched.Sleep(tick)
		grow(s.loop)
	}},
}

// smallStage is a world of three actors in which two moves are made at once.
type smallStage struct {
	beginning beginning
	acts      []act
}

func (w smallStage) String() string { return fmt.Sprintf("%s: %v", w.beginning.name, w.acts) }

// play runs the world once. explored is called with true when the moves begin and with false when
// all that they set off has been done.
func (w smallStage) play(run *sched.Run, explored func(bool)) *stage {
	s := newStage(run, 3, 2)
	s.run.Rest()
	w.beginning.make(s)
	s.start(w.acts)
	explored(true)
	s.rest(6 * tick)
	explored(false)
	s.check("six ticks later")
	s.end()
	return s
}

// smallStages returns every beginning with every pair of moves.
func smallStages() (all []smallStage) {
	const letters = "MBTXPSFEDORNK"
	for _, b := range beginnings {
		for i := range letters {
			for j := i; j < len(letters); j++ {
				if strings.Count("RNK", letters[i:i+1]) > 0 && i == j {
					continue
				}
				for _, nodes := range [][2]int{{1, 1}, {1, 2}, {2, 1}, {2, 2}, {2, 3}} {
					for _, after := range []time.Duration{0, tick} {
						all = append(all, smallStage{b, []act{{letters[i], nodes[0], 0}, {letters[j], nodes[1], after}}})
					}
				}
			}
		}
	}
	return all
}

// large is a world of moves at random, of which the seed tells all.
func large(run *sched.Run, seed uint64, count int) *stage {
	letters := "MMBBBTXPSFEEEDDOOORN"
	rng := rand.New(rand.NewPCG(seed, 5))
	actors := 2 + rng.IntN(4)
	if rng.IntN(10) == 0 { // bursts
		actors, letters = 10+rng.IntN(40), letters+"AAAA"
	}
	s := newStage(run, actors, 1+rng.IntN(3))
	pauses := []time.Duration{0, 0, 0, 0, tick / 2, tick, tick, 2 * tick, 3 * tick, 10 * tick, dozeAfter * tick, (dozeAfter + 1) * tick, parkedFor}
	for range count {
		s.start([]act{{letters[rng.IntN(len(letters))], 1 + rng.IntN(len(s.nodes)), 0}})
		if pause := pauses[rng.IntN(len(pauses))]; pause > 0 {
			sched.Sleep(pause)
		}
		if rng.IntN(20) == 0 {
			grow(s.loop)
		}
	}
	if rng.IntN(2) == 0 {
		s.start([]act{{'K', 1, 0}})
	}
	s.rest(0)
	s.end()
	return s
}
