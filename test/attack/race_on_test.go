//go:build race

package attack

// raced: the race detector takes memory of its own for every goroutine and every byte that is
// watched.
const raced = true
