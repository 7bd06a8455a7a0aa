//go:build !race

package setup

// Raced is true with the race detector.
const Raced = false
