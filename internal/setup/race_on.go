//go:build race

package setup

// Raced is true with the race detector. It takes memory for every goroutine and every watched byte,
// and many times the processor time.
const Raced = true
