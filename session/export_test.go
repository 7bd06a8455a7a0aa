package session

// Turns returns how many sessions have a Deliver under way, or waiting, and how many a Resume.
func (s *Sessions) Turns() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.delivers) + len(s.resumes)
}

// Doubtful returns how many sessions have ended and have a Deliver to undo.
func (s *Sessions) Doubtful() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.doubtful)
}

// Live returns how many sessions have a connection here.
func (s *Sessions) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.live)
}
