package berthtest

import (
	"context"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/test/sched"
)

// This file finds the goroutines and actors that a server leaves behind. A goroutine is recognised
// by its label, which it inherits from the goroutine that starts it. So tests that run at the same
// time do not report each other's goroutines. A goroutine that a timer starts has no label and is
// not found.

// labelKey is the key of the goroutines' label.
const labelKey = "berthtest"

// labels returns a context with the label of the server, for pprof.SetGoroutineLabels.
func (s *Server) labels() context.Context {
	return pprof.WithLabels(context.Background(), pprof.Labels(labelKey, s.name))
}

// settling is how long goroutines and actors may take to end.
var settling = 10 * time.Second

// reportLeaks fails the test if something is left once everything has had time to end.
func (s *Server) reportLeaks() {
	s.t.Helper()
	wait := time.Millisecond
	for began := time.Now(); time.Since(began) < settling && s.left(); wait = min(2*wait, 100*time.Millisecond) {
		sched.Sleep(wait)
	}
	for _, stack := range s.leftGoroutines() {
		s.t.Errorf("berthtest: goroutines are left that the server or a handler has started: %s", stack)
	}
	for _, id := range s.leftActors() {
		s.t.Errorf("berthtest: an actor is left in the server's system: %s", id)
	}
}

func (s *Server) left() bool {
	return len(s.leftActors()) > 0 || len(s.leftGoroutines()) > 0
}

// leftGoroutines returns the stacks of the goroutines with the server's label, each with its count.
func (s *Server) leftGoroutines() (stacks []string) {
	var text strings.Builder
	if err := pprof.Lookup("goroutine").WriteTo(&text, 1); err != nil {
		return nil
	}
	_, profile, _ := strings.Cut(text.String(), "\n") // the first line is the total
	label := strconv.Quote(labelKey) + ":" + strconv.Quote(s.name)
	for record := range strings.SplitSeq(profile, "\n\n") {
		header, rest, _ := strings.Cut(strings.TrimSpace(record), "\n")
		labels, frames, _ := strings.Cut(rest, "\n")
		if !strings.HasPrefix(labels, "# labels: ") || !strings.Contains(labels, label) || s.allows(frames) {
			continue
		}
		count, _, _ := strings.Cut(header, " ")
		stacks = append(stacks, count+"\n"+stack(frames))
	}
	return stacks
}

// stack makes a stack of the lines of a profile: function and position, without the addresses.
func stack(frames string) string {
	var b strings.Builder
	for line := range strings.Lines(frames) {
		fields := strings.Fields(line)
		if len(fields) < 4 {
			continue
		}
		function, _, _ := strings.Cut(fields[2], "+0x")
		b.WriteString("\t" + function + "\n\t\t" + fields[3] + "\n")
	}
	return b.String()
}

// allows reports whether an option lets a goroutine with this stack remain.
func (s *Server) allows(stack string) bool {
	return slices.ContainsFunc(s.config.allowed, func(function string) bool {
		return strings.Contains(stack, "\t"+function+"+0x")
	})
}

// leftActors returns the ids of the actors that were not there before the server. In a system of
// the test's own they are those of the server.
func (s *Server) leftActors() (ids []string) {
	own := s.config.system == nil
	for _, id := range actors(s.System) {
		if !s.before[id] && (own || id == s.PID().Id || strings.HasPrefix(id, s.PID().Id+"/")) {
			ids = append(ids, id)
		}
	}
	return ids
}

// actors returns the ids of all actors of a system. A request that waits for an answer is none.
func actors(system *actor.ActorSystem) (ids []string) {
	for _, part := range system.ProcessRegistry.LocalPIDs.LocalPIDs {
		part.IterCb(func(id string, _ any) {
			if !strings.HasPrefix(id, "future$") {
				ids = append(ids, id)
			}
		})
	}
	slices.Sort(ids)
	return ids
}
