package transport

// This file handles what the reader has read, or may read, before it is fetched.

// Ahead returns how much memory a question for room bytes takes until its answer is fetched; 0
// means that a question is open, or its answer is not fetched to the end. It is called on the
// connection's turn.
func (s *Stream) Ahead(room int) (memory int, reads bool) {
	if s.asking {
		return 0, true
	}
	return ChunkSize(min(room, max(s.hint, minChunk))), true
}

// Shrink moves the answer to memory that is no larger than it needs to be. It is called on the
// connection's turn, where Ready returned true.
func (s *Stream) Shrink() {
	if rest := s.n - s.start; rest > 0 && ChunkSize(rest) < len(s.chunk.Bytes) {
		smaller := NewChunk(rest)
		copy(smaller.Bytes, s.chunk.Bytes[s.start:s.n])
		s.chunk.Release()
		s.chunk, s.start, s.n = smaller, 0, rest
	}
}

// rest returns the chunk with what is left of the answer at its beginning.
func (s *Stream) rest() *Chunk {
	if s.start > 0 {
		copy(s.chunk.Bytes, s.chunk.Bytes[s.start:s.n])
	}
	return s.chunk
}

// fillPart gives n bytes of an answer that has more.
func (s *Stream) fillPart(in *Input, n int) int {
	part := NewChunk(n)
	copy(part.Bytes, s.chunk.Bytes[s.start:s.start+n])
	s.start += n
	in.Append(part, n)
	return n
}
