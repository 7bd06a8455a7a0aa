//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package listener

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestSeveralCrewsShareTheConnections(t *testing.T) {
	const clients = 12
	l := newWorld().listen(t, of(newEcho()), Options{Transport: Poll, Crews: 3, Workers: 3})
	for range clients {
		echoes(t, dial(t, l))
	}
	assert.Len(t, l.server.polling.crews, 3)
	l.server.polling.mu.Lock()
	defer l.server.polling.mu.Unlock()
	assert.Equal(t, clients, l.server.polling.dealt)
}

func TestANegativeNumberOfCrewsIsRefused(t *testing.T) {
	_, err := Listen(newWorld().Root, anyPort, of(newEcho()), Options{Crews: -1})
	assert.EqualError(t, err, "berth: Crews -1 must not be negative")
}
