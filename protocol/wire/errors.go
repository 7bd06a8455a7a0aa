package wire

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"syscall"
	"unicode/utf8"

	"github.com/go-berth/berth/protocol"
)

// maxText is how many bytes of an error's text are sent.
const maxText = 4096

// codes are the known errors, each with its number.
var codes = map[Code]error{
	Code_CODE_CLOSED:             protocol.ErrClosed,
	Code_CODE_WRITE_QUEUE_FULL:   protocol.ErrWriteQueueFull,
	Code_CODE_WRITE_BUFFER_FULL:  protocol.ErrWriteBufferFull,
	Code_CODE_WRITE_TOO_LARGE:    protocol.ErrWriteTooLarge,
	Code_CODE_NO_DESCRIPTOR:      protocol.ErrNoDescriptor,
	Code_CODE_MEMORY_BUDGET:      protocol.ErrMemoryBudget,
	Code_CODE_DROPPED:            protocol.ErrDropped,
	Code_CODE_READ_BUFFER_FULL:   protocol.ErrReadBufferFull,
	Code_CODE_ABORTED:            protocol.ErrAborted,
	Code_CODE_STOPPED:            protocol.ErrStopped,
	Code_CODE_SHUTDOWN:           protocol.ErrShutdown,
	Code_CODE_IDLE_TIMEOUT:       protocol.ErrIdleTimeout,
	Code_CODE_READ_TIMEOUT:       protocol.ErrReadTimeout,
	Code_CODE_WRITE_TIMEOUT:      protocol.ErrWriteTimeout,
	Code_CODE_HALF_CLOSE_TIMEOUT: protocol.ErrHalfCloseTimeout,
	Code_CODE_HANDSHAKE_TIMEOUT:  protocol.ErrHandshakeTimeout,
	Code_CODE_CLOSE_TIMEOUT:      protocol.ErrCloseTimeout,
	Code_CODE_GOEXIT:             protocol.ErrGoexit,
	Code_CODE_BYTES_BEFORE_TLS:   protocol.ErrBytesBeforeTLS,

	Code_CODE_NET_CLOSED:                net.ErrClosed,
	Code_CODE_DEADLINE_EXCEEDED:         os.ErrDeadlineExceeded,
	Code_CODE_EOF:                       io.EOF,
	Code_CODE_UNEXPECTED_EOF:            io.ErrUnexpectedEOF,
	Code_CODE_CONTEXT_CANCELED:          context.Canceled,
	Code_CODE_CONTEXT_DEADLINE_EXCEEDED: context.DeadlineExceeded,

	Code_CODE_CONNECTION_RESET:   syscall.ECONNRESET,
	Code_CODE_BROKEN_PIPE:        syscall.EPIPE,
	Code_CODE_CONNECTION_ABORTED: syscall.ECONNABORTED,
	Code_CODE_TIMED_OUT:          syscall.ETIMEDOUT,
}

// ordered are the codes, in their order.
var ordered = func() (all []Code) {
	for code := range codes {
		all = append(all, code)
	}
	slices.Sort(all)
	return all
}()

// RemoteError is an error of another node that is no single known one: a *net.OpError, for example.
// It matches the known errors that the original matched.
type RemoteError struct {
	Text     string // of the original, at most 4 KiB of it
	Matches  []error
	TimedOut bool // the original was a timeout, as its method Timeout said
}

// Error implements error.
func (e *RemoteError) Error() string { return e.Text }

// Unwrap gives errors.Is and errors.As the known errors that the original matched.
func (e *RemoteError) Unwrap() []error { return e.Matches }

// Timeout reports whether the original, or an error that it matches, is a timeout.
func (e *RemoteError) Timeout() bool { return e.TimedOut || slices.ContainsFunc(e.Matches, timedOut) }

// timedOut asks the first error that has a method Timeout: err, or one that it wraps.
func timedOut(err error) bool {
	asked, can := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return can && asked.Timeout()
}

// encodeError returns the form of any error, nil for nil.
func encodeError(err error) *Error {
	if err == nil {
		return nil
	}
	form := &Error{Text: "berth: an error that has no text: its method panicked"}
	describe(form, err)
	return form
}

// describe calls methods of the error, which may be the user's code.
func describe(form *Error, err error) {
	defer func() { _ = recover() }() // the form has what was found out before
	switch e := err.(type) {         //nolint:errorlint // one that is wrapped has a text of its own
	case *protocol.PanicError:
		form.Panic = true
		form.Text = short(fmt.Sprint(e.Value))
	case *protocol.LinkDownError:
		form.LinkDown, form.NoLink = NewPID(e.PID), e.PID == nil
		if p := form.LinkDown; p != nil {
			p.Address, p.Id = text(p.Address), text(p.Id)
		}
		form.Text = short(e.Error())
	default:
		form.Text = short(err.Error())
	}
	for _, code := range ordered {
		if matches(err, code) {
			form.Matches = append(form.Matches, code)
		}
	}
	form.Timeout = timedOut(err)
}

func matches(err error, code Code) bool {
	if errors.Is(err, codes[code]) {
		return true
	}
	also, found := native[code]
	return found && errors.Is(err, also)
}

// short makes a text one that can be sent.
func short(s string) string {
	s = text(s[:min(len(s), 2*maxText)])
	if len(s) <= maxText {
		return s
	}
	end := maxText
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}

// error returns an error that says and matches the same, nil for nil. A code that is not known
// here matches no error.
func (d *decoder) error(form *Error) error {
	if form == nil {
		return nil
	}
	for _, code := range form.Matches {
		if err, known := codes[code]; known && err.Error() == form.Text && !form.Panic {
			return err
		}
	}
	remote := &RemoteError{Text: short(form.Text), Matches: matched(form.Matches)}
	remote.TimedOut = form.Timeout || remote.Timeout()
	switch {
	case form.Panic && (len(remote.Matches) > 0 || remote.TimedOut):
		return &protocol.PanicError{Value: remote}
	case form.Panic:
		return &protocol.PanicError{Value: remote.Text}
	case form.LinkDown != nil || form.NoLink:
		return &protocol.LinkDownError{PID: form.LinkDown.Native()}
	}
	return remote
}

// matched returns the known errors that an error with these codes matches: each once, in the order
// of the codes, with those that a code implies, as encodeError lists them.
func matched(given []Code) []error {
	var raw, found []error
	for _, code := range ordered {
		if slices.Contains(given, code) {
			raw = append(raw, codes[code])
		}
	}
	original := errors.Join(raw...)
	for _, code := range ordered {
		if matches(original, code) {
			found = append(found, codes[code])
		}
	}
	return found
}

// NewError returns the form of an error, nil for nil.
func NewError(err error) *Error { return encodeError(err) }

// Native returns an error that says and matches the same, nil for nil.
func (x *Error) Native() error { return (&decoder{}).error(x) }
