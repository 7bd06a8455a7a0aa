//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

// Origins returns how many local addresses are remembered.
func (a *Acceptor) Origins() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.origins)
}
