package listener

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
)

// acceptFaults are all errors that accept(2) names, on the systems that have them, and some that it
// does not name.
var acceptFaults = append([]acceptErrno{
	{syscall.EMFILE, AcceptExhausted},
	{syscall.ENFILE, AcceptExhausted},
	{syscall.ENOBUFS, AcceptExhausted},
	{syscall.ENOMEM, AcceptExhausted},
	{syscall.ECONNABORTED, AcceptClientGone},
	{syscall.ECONNRESET, AcceptClientGone},
	{syscall.EPROTO, AcceptClientGone},
	{syscall.ETIMEDOUT, AcceptClientGone},
	{syscall.ENETDOWN, AcceptClientGone},
	{syscall.ENOPROTOOPT, AcceptClientGone},
	{syscall.EHOSTDOWN, AcceptClientGone},
	{syscall.EHOSTUNREACH, AcceptClientGone},
	{syscall.EOPNOTSUPP, AcceptClientGone},
	{syscall.ENETUNREACH, AcceptClientGone},
	{syscall.EPERM, AcceptRefused},
	{syscall.EACCES, AcceptRefused},
	{syscall.EBADF, AcceptSocketLost},
	{syscall.ENOTSOCK, AcceptSocketLost},
	{syscall.EINVAL, AcceptSocketLost},
	{syscall.EINTR, AcceptUnknown},
	{syscall.EAGAIN, AcceptUnknown},
	{syscall.EFAULT, AcceptUnknown},
	{syscall.EPROTONOSUPPORT, AcceptUnknown},
	{syscall.ESOCKTNOSUPPORT, AcceptUnknown},
	{syscall.EIO, AcceptUnknown},
	{os.ErrDeadlineExceeded, AcceptUnknown},
	{io.EOF, AcceptUnknown},
	{errors.New("unknown"), AcceptUnknown},
	{errors.New(""), AcceptUnknown},
}, acceptErrnosHere...)

func TestEveryErrorOfAcceptHasItsClassHoweverItIsWrapped(t *testing.T) {
	for _, fault := range append(acceptFaults, acceptErrno{net.ErrClosed, AcceptSocketLost}) {
		assert.Equal(t, fault.class, classify(fault.err), "%v", fault.err)
		wrapped := &net.OpError{Op: "accept", Net: "tcp", Err: os.NewSyscallError("accept4", fault.err)}
		assert.Equal(t, fault.class, classify(wrapped), "%v", wrapped)
		assert.Equal(t, fault.class, classify(fmt.Errorf("listener of the user's: %w", wrapped)), "%v", wrapped)
	}
	tested := map[error]bool{net.ErrClosed: true}
	for _, fault := range acceptFaults {
		tested[fault.err] = true
	}
	for _, known := range acceptErrnos {
		assert.True(t, tested[known.err], "%v is in the list and not in this test", known.err)
	}
}

func TestEveryClassOfAcceptErrorsHasItsOwnWords(t *testing.T) {
	seen := map[string]bool{}
	for c := range AcceptClass(len(acceptClassNames)) {
		assert.NotEmpty(t, c.String())
		assert.False(t, seen[c.String()], c.String())
		assert.Equal(t, strings.TrimSpace(c.String()), c.String())
		seen[c.String()] = true
	}
	assert.Equal(t, "unknown", AcceptClass(len(acceptClassNames)).String())
	assert.Equal(t, "unknown", AcceptClass(255).String())
}
