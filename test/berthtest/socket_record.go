package berthtest

import (
	"slices"
	"strings"

	"github.com/go-berth/berth/protocol"
)

// This file is what a test asks a Socket afterwards.

// Calls returns what the handler did, in order and in words: `Write "hello"`, `WriteOwned "hello"`,
// `Pause`, `Resume`, `Close`. A write that was refused has its error behind it. Questions, such as
// Info and Value, are not in it.
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

// Timeouts returns what the last SetTimeouts gave.
func (s *Socket) Timeouts() protocol.Timeouts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.timeouts
}
