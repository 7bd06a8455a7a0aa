//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

// Unsure implements Unsure. A peer reads the records that have come whole, whatever becomes of the
// others of one Writev.
func (t *PollTLS) Unsure() int { return t.out.owed }
