package reconnect

import (
	"runtime/debug"

	"github.com/go-berth/berth/protocol"
)

// guarded calls the user's code on a goroutine of its own and waits for it. So its panic, or its
// runtime.Goexit, becomes an error and ends no goroutine of the client's.
func guarded(code func()) error {
	ended := make(chan error, 1)
	go func() {
		returned := false
		defer func() {
			switch value := recover(); {
			case returned:
				ended <- nil
			case value != nil:
				ended <- &protocol.PanicError{Value: value, Stack: debug.Stack()}
			default:
				ended <- protocol.ErrGoexit
			}
		}()
		code()
		returned = true
	}()
	return <-ended
}

// eachGuarded calls all of the functions in order, whatever they do, and returns the first failure.
func eachGuarded(calls []func()) (first error) {
	for next := 0; next < len(calls); {
		err := guarded(func() {
			for next < len(calls) {
				next++
				calls[next-1]()
			}
		})
		if first == nil {
			first = err
		}
	}
	return first
}
