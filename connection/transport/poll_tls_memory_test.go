//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestCryptoTLSHasTheBuffersThatAreDropped(t *testing.T) {
	assert.Len(t, tlsBufferOffsets, len(tlsBuffers), "a tls.Conn has other buffers with this release of Go:"+
		" an idle connection is 3.5 KiB larger until dropBuffers knows them")
}
