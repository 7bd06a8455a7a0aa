package missing

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestANilPointerInAnInterfaceIsMissing(t *testing.T) {
	var conn net.Conn
	assert.True(t, Is(nil))
	assert.True(t, Is(conn))
	assert.True(t, Is((*net.TCPConn)(nil)))
	assert.False(t, Is(&net.TCPConn{}))
	assert.False(t, Is(func() {}))
	assert.False(t, Is(struct{}{}))
}
