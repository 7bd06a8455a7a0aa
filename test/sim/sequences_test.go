package sim

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/check"
	"github.com/go-berth/berth/test/history"
	"github.com/go-berth/berth/test/report"
	"github.com/go-berth/berth/test/simnet"
)

var sequence = flag.String("sim.sequence", "", "run this sequence alone: letters of WCFRPXS, see sequences_test.go")

// moves are the events of a connection, by letter: Write, Close, the peer's FIN, its RST, Pause, a
// panic of the handler, Stop.
const moves = "WCFRPXS"

const longest = 6

func (s *stage) move(letter byte, p *history.Peer) {
	socket := s.socket(p.Number())
	switch letter {
	case 'W':
		_ = socket.WriteOwned(fmt.Appendf(nil, "write for %d", p.Number()), func(error) {})
	case 'C':
		_ = socket.Close()
	case 'F':
		_ = p.CloseWrite()
	case 'R':
		_ = p.Reset()
	case 'P':
		socket.Pause()
	case 'X':
		s.mail.Task(socket)
	case 'S':
		socket.Stop(s.system)
	}
}

// bomb consumes what it is shown, and panics when it gets a message.
type bomb struct{ s *stage }

func (b bomb) Accepted(socket protocol.Socket) error {
	b.s.met(socket)
	return nil
}

func (bomb) Data(_ protocol.Socket, buffer *protocol.Buffer) error {
	buffer.Discard(buffer.Len())
	return nil
}

func (bomb) Message(actor.Context, protocol.Socket, any) error { panic("asked to") }

func (bomb) Closed(protocol.Socket, *protocol.Closed) {}

// play runs sequences, each on a connection of its own, all at once. If settled is true, the steps
// come one after the other, with a rest in between. Otherwise all steps of a connection follow each
// other at once.
func play(t *testing.T, sequences []string, settled bool) (violations []check.Violation, records []history.Record) {
	var world check.World
	err := inBubble(t, fmt.Sprintf("sequences from %s", sequences[0]), func() {
		var s *stage
		factory := tcpactor.Handlers(func() tcpactor.Handler { return bomb{s} })
		s = newStage(t, simnet.Options{Window: 64 << 10}, listener.Options{MaxConnections: len(sequences)}, factory)
		for range sequences {
			_, _ = s.dial().Write([]byte("hello"))
		}
		s.rest()
		for step := range longest {
			for i, letters := range sequences {
				if !settled && step == 0 {
					for _, letter := range []byte(letters) {
						s.move(letter, s.peers[i])
					}
				}
				if settled && step < len(letters) {
					s.move(letters[step], s.peers[i])
				}
			}
			s.rest()
		}
		records, world = s.finish(s.close), s.world()
	})
	if err != nil {
		t.Fatal(err)
	}
	return check.Violations(world, records), records
}

// sequencesOf returns all of a length that begin with a prefix.
func sequencesOf(length int, prefix string) (all []string) {
	if len(prefix) == length {
		return []string{prefix}
	}
	for _, letter := range moves {
		all = append(all, sequencesOf(length, prefix+string(letter))...)
	}
	return all
}

// D2: every sequence of six moves, and every shorter one, ends as it must.
func TestEverySequenceOfMovesEndsAsItMust(t *testing.T) {
	if *sequence != "" {
		tellSequences(t, []string{*sequence})
		return
	}
	began, most := time.Now(), longest
	if *scale < 1 {
		most = 4
	}
	run, ofLongest := 0, 0
	for length := 1; length <= most; length++ {
		all := sequencesOf(length, "")
		for batch := range slices.Chunk(all, 343) { // a bubble for each would take too long
			tellSequences(t, batch)
			if t.Failed() {
				return
			}
		}
		run += len(all)
		ofLongest = len(all)
	}
	report.Add(t, report.Row{
		ID: "D2", Holds: "G1 G3 G4", Duration: time.Since(began), Skipped: skipped(most == longest, fmt.Sprintf("none longer than %d", most)),
		Figures: map[string]any{"length": most, "sequences": ofLongest, "shorter": run - ofLongest, "ways": 2, "violations": 0},
	})
}

func tellSequences(t *testing.T, sequences []string) {
	for _, settled := range []bool{true, false} {
		violations, records := play(t, sequences, settled)
		for _, v := range violations[:min(len(violations), 3)] {
			which := "?"
			if v.Conn > 0 {
				which = sequences[v.Conn-1]
			}
			t.Errorf("settled %v: %v; again: go test ./test/sim -count=1 -run '^%s$' -sim.sequence %s\n%s",
				settled, v, t.Name(), which, strings.Join(story(records, v), "\n"))
		}
	}
}

func TestSequencesAreAllThereAre(t *testing.T) {
	all := sequencesOf(3, "")
	slices.Sort(all)
	if n := len(slices.Compact(all)); n != 343 {
		t.Errorf("%d of 343", n)
	}
}
