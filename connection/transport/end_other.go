//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package transport

// Here there is no question for the end of a socket's input.

func lookForEnd(int) (finished, broken bool) { return false, false }
func hungUp(int) bool                        { return false }
func socketError(int) error                  { return nil }
func unread(int) int                         { return 0 }
