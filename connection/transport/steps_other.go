//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package transport

// newSteps returns how to write to the socket of s.
func newSteps(s *Stream) stepper { return newPieces(s) }
