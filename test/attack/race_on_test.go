//go:build race

package attack

// raced is true with the race detector, which takes memory for every goroutine and every watched
// byte.
const raced = true
