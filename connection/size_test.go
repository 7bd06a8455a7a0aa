package connection

import (
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
)

// The allocator hands out 448 bytes, and after that 480. Fields that few connections need go into
// rare.
func TestAConnectionFitsItsSizeClass(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		assert.LessOrEqual(t, unsafe.Sizeof(Connection{}), uintptr(448))
	}
}

// A cache line: a broadcast touches one entry for each member.
func TestAnEntryFitsACacheLine(t *testing.T) {
	assert.LessOrEqual(t, unsafe.Sizeof(entry{}), uintptr(64))
}
