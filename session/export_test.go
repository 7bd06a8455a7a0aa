package session

// Turns returns how many sessions have a Deliver under way, or waiting.
func (s *Sessions) Turns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.turns)
}

// Live returns how many sessions have a connection here.
func (s *Sessions) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}
