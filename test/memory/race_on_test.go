//go:build race

package memory_test

// raced is true with the race detector, which has allocations of its own, and whose pools drop at
// random.
const raced = true
