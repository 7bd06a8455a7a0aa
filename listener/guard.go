package listener

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"
)

// guarded calls the user's code on a goroutine of its own and waits for it. So its panic or
// runtime.Goexit does not end this goroutine, but becomes an error.
func guarded(code func()) error {
	ended := startGuarded(code)
	defer seam.Wait().Over()
	return <-ended
}

func startGuarded(code func()) <-chan error {
	ended := make(chan error, 1)
	seam.Go(func() {
		finished := false
		defer func() {
			if !finished {
				ended <- panicked(recover(), debug.Stack())
			}
		}()
		code()
		finished = true
		ended <- nil
	})
	return ended
}

// call runs a callback on a goroutine of its own and waits for it. Once the end of the listener has
// been asked for, it waits no longer than callbackGrace: the callback may itself be waiting for
// that end. Its goroutine then remains until it returns.
func (s *server) call(callback func()) error {
	return s.callWithin(callbackGrace, shortGrace, callback)
}

// callWithin is call with the given wait, and with the wait another if another callback has not
// returned.
func (s *server) callWithin(wait, another time.Duration, callback func()) error {
	ended := startGuarded(callback)
	turn := seam.Wait()
	select {
	case err := <-ended:
		turn.Over()
		return err
	case <-s.asked:
		turn.Over()
	}
	if s.absent.Load() > 0 {
		wait = another // one has been waited for, and many may hang
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	turn = seam.Wait()
	select {
	case err := <-ended:
		turn.Over()
		return err
	case <-timer.C:
		turn.Over()
	}
	s.absent.Add(1)
	seam.Go(func() {
		turn := seam.Wait()
		<-ended //nolint:errcheck // nothing is left to tell it to
		turn.Over()
		s.absent.Add(-1)
	})
	return errAbsent
}

// errAbsent is the error of a callback that has not returned.
var errAbsent = errors.New("berth: the callback has not returned")

// panicked makes an error of what recover returned, nil for runtime.Goexit.
func panicked(reason any, stack []byte) error {
	switch reason := reason.(type) {
	case nil:
		return errGoexit
	case *panicError: // thrown on by another goroutine
		return reason
	}
	return &panicError{&protocol.PanicError{Value: reason, Stack: stack}}
}

var errGoexit = errors.New("berth: runtime.Goexit was called")

// panicError wraps a *protocol.PanicError, which has the stack, and speaks of no handler.
type panicError struct{ cause *protocol.PanicError }

func (e *panicError) Error() string { return fmt.Sprintf("berth: panic: %v", e.cause.Value) }
func (e *panicError) Unwrap() error { return e.cause }
