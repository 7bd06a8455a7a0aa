package protocol_test

import (
	"errors"
	"fmt"
	"go/token"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
)

// sentinels are all of them, each with the standard library's error that it matches.
var sentinels = []struct {
	name    string
	err     error
	matches error
}{
	{"ErrClosed", protocol.ErrClosed, net.ErrClosed},
	{"ErrAborted", protocol.ErrAborted, net.ErrClosed},
	{"ErrStopped", protocol.ErrStopped, net.ErrClosed},
	{"ErrShutdown", protocol.ErrShutdown, net.ErrClosed},
	{"ErrIdleTimeout", protocol.ErrIdleTimeout, os.ErrDeadlineExceeded},
	{"ErrReadTimeout", protocol.ErrReadTimeout, os.ErrDeadlineExceeded},
	{"ErrWriteTimeout", protocol.ErrWriteTimeout, os.ErrDeadlineExceeded},
	{"ErrHalfCloseTimeout", protocol.ErrHalfCloseTimeout, os.ErrDeadlineExceeded},
	{"ErrHandshakeTimeout", protocol.ErrHandshakeTimeout, os.ErrDeadlineExceeded},
	{"ErrCloseTimeout", protocol.ErrCloseTimeout, os.ErrDeadlineExceeded},
	{"ErrWriteQueueFull", protocol.ErrWriteQueueFull, nil},
	{"ErrWriteBufferFull", protocol.ErrWriteBufferFull, nil},
	{"ErrWriteTooLarge", protocol.ErrWriteTooLarge, nil},
	{"ErrNoDescriptor", protocol.ErrNoDescriptor, nil},
	{"ErrMemoryBudget", protocol.ErrMemoryBudget, nil},
	{"ErrBytesBeforeTLS", protocol.ErrBytesBeforeTLS, nil},
	{"ErrDropped", protocol.ErrDropped, nil},
	{"ErrReadBufferFull", protocol.ErrReadBufferFull, nil},
	{"ErrGoexit", protocol.ErrGoexit, nil},
}

func TestEverySentinelIsInTheTable(t *testing.T) {
	var names []string
	for _, s := range sentinels {
		names = append(names, s.name)
	}
	assert.ElementsMatch(t, declaredIn(t, "errors.go", token.VAR, "Err"), names)
}

func TestEverySentinelMatchesItselfAndTheStandardLibrarysOwn(t *testing.T) {
	for _, s := range sentinels {
		t.Run(s.name, func(t *testing.T) {
			for _, err := range []error{s.err, fmt.Errorf("writing the reply: %w", s.err)} {
				assert.ErrorIs(t, err, s.err)
				for _, std := range []error{net.ErrClosed, os.ErrDeadlineExceeded, io.EOF} {
					assert.Equal(t, s.matches == std, errors.Is(err, std), "%v", std)
				}
			}
			if s.matches != nil {
				assert.NotErrorIs(t, s.matches, s.err, "the other way round it must not match")
			}
		})
	}
}

func TestNoSentinelIsAnother(t *testing.T) {
	for i, a := range sentinels {
		for j, b := range sentinels {
			if i != j {
				assert.NotErrorIs(t, a.err, b.err)
				assert.NotEqual(t, a.err.Error(), b.err.Error())
			}
		}
	}
}

func TestTheTwoLimitsOfWritingAreToldApart(t *testing.T) {
	assert.NotErrorIs(t, protocol.ErrWriteQueueFull, protocol.ErrWriteBufferFull)
	assert.NotErrorIs(t, protocol.ErrWriteBufferFull, protocol.ErrWriteQueueFull)
	assert.NotErrorIs(t, protocol.ErrWriteQueueFull, net.ErrClosed, "a full queue empties again")
	assert.NotErrorIs(t, protocol.ErrWriteBufferFull, net.ErrClosed, "a full buffer empties again")
}

func TestEverySentinelSaysWhoseItIs(t *testing.T) {
	for _, s := range sentinels {
		words, ok := strings.CutPrefix(s.err.Error(), "berth: ")
		assert.True(t, ok, s.name)
		assert.NotEmpty(t, words, s.name)
	}
}

func TestTheTimeoutsAnswerTimeout(t *testing.T) {
	for _, s := range sentinels {
		t.Run(s.name, func(t *testing.T) {
			timeout := s.matches == os.ErrDeadlineExceeded
			assert.Equal(t, timeout, os.IsTimeout(s.err))

			var asked interface{ Timeout() bool }
			require.ErrorAs(t, fmt.Errorf("reading: %w", s.err), &asked)
			assert.Equal(t, timeout, asked.Timeout())

			if netErr, ok := errors.AsType[net.Error](s.err); ok { // as callers of package net ask
				assert.Equal(t, timeout, netErr.Timeout())
			} else {
				assert.False(t, timeout, "a timeout must be found as a net.Error")
			}
		})
	}
}

func TestPanicErrorNamesTheValueAndKeepsTheStackOutOfIt(t *testing.T) {
	for value, want := range map[any]string{
		"boom":     "berth: handler panicked: boom",
		42:         "berth: handler panicked: 42",
		io.EOF:     "berth: handler panicked: EOF",
		nil:        "berth: handler panicked: <nil>",
		[2]int{}:   "berth: handler panicked: [0 0]",
		struct{}{}: "berth: handler panicked: {}",
	} {
		err := &protocol.PanicError{Value: value, Stack: []byte("goroutine 1 [running]")}
		assert.EqualError(t, err, want)
	}
}

func TestPanicErrorUnwrapsToAValueThatIsAnError(t *testing.T) {
	err := fmt.Errorf("closed: %w", &protocol.PanicError{Value: fmt.Errorf("reading: %w", io.ErrUnexpectedEOF)})
	assert.ErrorIs(t, err, io.ErrUnexpectedEOF)

	var panicked *protocol.PanicError
	require.ErrorAs(t, err, &panicked)
	assert.EqualError(t, panicked.Unwrap(), "reading: unexpected EOF")
}

func TestPanicErrorUnwrapsToNothingWhereTheValueIsNoError(t *testing.T) {
	for _, value := range []any{nil, "EOF", 42, []byte("EOF")} {
		err := &protocol.PanicError{Value: value}
		assert.NoError(t, err.Unwrap())
		assert.NotErrorIs(t, err, io.EOF)
	}
}

func TestPanicErrorShowsWhatTheRuntimeRecovered(t *testing.T) {
	err := recovered(func() { _ = []int{}[len(os.Args)] })
	var fault runtime.Error
	require.ErrorAs(t, err, &fault)
	assert.ErrorContains(t, err, "index out of range")
	assert.NotContains(t, err.Error(), "goroutine")
	assert.Contains(t, string(err.Stack), "TestPanicErrorShowsWhatTheRuntimeRecovered")

	var none *runtime.PanicNilError
	assert.ErrorAs(t, recovered(func() { panic(nil) }), &none) //nolint:govet // handlers do this too
}

// recovered makes a PanicError as a connection does.
func recovered(f func()) (err *protocol.PanicError) {
	defer func() { err = &protocol.PanicError{Value: recover(), Stack: debug.Stack()} }()
	f()
	return nil
}

func TestLinkDownErrorNamesTheActor(t *testing.T) {
	assert.EqualError(t, &protocol.LinkDownError{PID: actor.NewPID("10.0.0.1:80", "member")}, "berth: linked actor 10.0.0.1:80/member ended")
	assert.EqualError(t, &protocol.LinkDownError{}, "berth: linked to no actor")
}
