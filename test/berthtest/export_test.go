package berthtest

import (
	"testing"
	"time"
)

// SettleFor shortens, for one test, how long goroutines and actors may take to end.
func SettleFor(t *testing.T, d time.Duration) {
	before := settling
	settling = d
	t.Cleanup(func() { settling = before })
}
