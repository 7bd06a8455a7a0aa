//go:build race

package memory_test

// raced: the race detector has allocations of its own, and its pools drop at random.
const raced = true
