package listener

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/go-berth/berth/protocol"
)

// guarded calls the user's code on a goroutine of its own and waits for it. So neither its panic nor its runtime.Goexit is ours;
// they are errors.
func guarded(code func()) error {
	ended := make(chan error, 1)
	go func() {
		finished := false
		defer func() {
			if !finished {
				ended <- panicked(recover(), debug.Stack())
			}
		}()
		code()
		finished = true
		ended <- nil
	}()
	return <-ended
}

// panicked makes an error of what recover returned, nil for runtime.Goexit.
func panicked(reason any, stack []byte) error {
	if reason == nil {
		return errGoexit
	}
	return &panicError{&protocol.PanicError{Value: reason, Stack: stack}}
}

var errGoexit = errors.New("berth: runtime.Goexit was called")

// panicError wraps a *protocol.PanicError, which has the stack, and speaks of no handler.
type panicError struct{ cause *protocol.PanicError }

func (e *panicError) Error() string { return fmt.Sprintf("berth: panic: %v", e.cause.Value) }
func (e *panicError) Unwrap() error { return e.cause }
