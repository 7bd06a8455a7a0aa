//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCryptoTLSHasTheBuffersThatAreLent(t *testing.T) {
	const news = "a tls.Conn has other buffers with this release of Go: an idle connection is up to 34 KB larger until poll_tls_memory.go knows them"
	assert.NotZero(t, rawInputOffset, news)
	assert.NotZero(t, handOffset, news)
}
