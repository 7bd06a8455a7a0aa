package berthtest

import (
	"slices"
	"strings"

	"github.com/go-berth/berth/protocol"
)

// This file has the methods by which a test asks a Socket what happened.

// Calls returns the handler's calls, in order and in words: `Write "hello"`, `WriteOwned "hello"`,
// `Pause`, `Resume`, `Close`. A refused write has its error behind it. Calls that only read, such
// as Info and Value, are not included.
func (s *Socket) Calls() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}

// Commands returns the commands, in order, without the writes: Close as *protocol.Close, and so on.
func (s *Socket) Commands() []protocol.Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.commands)
}

// Writes returns the accepted writes, in order.
func (s *Socket) Writes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var writes []string
	for _, p := range s.writes {
		writes = append(writes, string(p))
	}
	return writes
}

// Written returns the bytes of all accepted writes.
func (s *Socket) Written() string { return strings.Join(s.Writes(), "") }

// Refused returns how many writes were refused.
func (s *Socket) Refused() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refused
}

// Closed reports that no write is accepted any more: after Close, CloseWrite, Abort or End.
func (s *Socket) Closed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended != nil
}

// Paused reports that the last of Pause and Resume was a Pause.
func (s *Socket) Paused() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.paused
}

// Timeouts returns the argument of the last SetTimeouts.
func (s *Socket) Timeouts() protocol.Timeouts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timeouts
}
