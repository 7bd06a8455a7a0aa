package faultnet

import (
	"errors"
	"math/rand/v2"
	"os"
	"syscall"
	"time"
)

// Toxics returns one of each kind of toxic, with attributes drawn from random: large enough to be
// felt, small enough for a test.
func Toxics(random *rand.Rand) []Toxic {
	delay := func(most time.Duration) time.Duration { return time.Duration(random.Int64N(int64(most))) }
	return []Toxic{
		Noop{},
		Latency{Delay: delay(2 * time.Second), Jitter: delay(time.Second)},
		Bandwidth{BytesPerSecond: 10 + random.IntN(10_000)},
		SlowClose{Delay: delay(10 * time.Second)},
		Timeout{After: delay(10 * time.Second)},
		ResetPeer{After: delay(5 * time.Second)},
		Slicer{Size: 1 + random.IntN(100), Variation: random.IntN(50), Delay: delay(10 * time.Millisecond)},
		LimitData{Bytes: random.IntN(20_000)},
	}
}

// RandomToxic returns one of Toxics, for both directions or for one.
func RandomToxic(random *rand.Rand) Toxic {
	all := Toxics(random)
	t := all[random.IntN(len(all))]
	switch random.IntN(4) {
	case 0:
		return Inbound(t)
	case 1:
		return Outbound(t)
	}
	return t
}

// RandomScript returns a script for a connection of some ten calls.
func RandomScript(random *rand.Rand) (s Script) {
	steps := func(errs ...error) (steps []Step) {
		for range random.IntN(5) {
			var step Step
			if random.IntN(2) == 0 {
				step.Most = random.IntN(20) - 1
			}
			if random.IntN(4) == 0 {
				step.Stall = time.Duration(random.Int64N(int64(20 * time.Second)))
			}
			if random.IntN(6) == 0 {
				step.Err = errs[random.IntN(len(errs))]
			}
			steps = append(steps, step)
		}
		return steps
	}
	s.Reads = steps(syscall.ECONNRESET, syscall.ETIMEDOUT, syscall.EIO, os.ErrDeadlineExceeded, errors.New("unknown"))
	s.Writes = steps(syscall.EPIPE, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENOBUFS, os.ErrDeadlineExceeded)
	if random.IntN(4) == 0 {
		s.Close.Stall = time.Duration(random.Int64N(int64(3 * time.Second)))
	}
	if random.IntN(4) == 0 {
		s.Close.Err = syscall.EIO
	}
	if random.IntN(4) == 0 {
		s.ResetAfter = 1 + random.IntN(5000)
	}
	return s
}

// AcceptErrors are the errors that accept(2) may return, and some that it may not.
func AcceptErrors() []error {
	return []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.EPROTO, syscall.EPERM,
		syscall.ENETDOWN, syscall.ENOPROTOOPT, syscall.EHOSTDOWN, syscall.EHOSTUNREACH, syscall.EOPNOTSUPP, syscall.ENETUNREACH,
		syscall.EINTR, syscall.EAGAIN, syscall.EINVAL, syscall.EIO,
		errors.New("unknown"), os.ErrDeadlineExceeded, errors.New(""),
	}
}
