//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime is what this process has used.
func processorTime() (time.Duration, error) { return used(syscall.RUSAGE_SELF) }

// familyTime is what this process and its children that have ended have used.
func familyTime() time.Duration {
	own, _ := used(syscall.RUSAGE_SELF)
	children, _ := used(syscall.RUSAGE_CHILDREN)
	return own + children
}

func used(who int) (time.Duration, error) {
	var u syscall.Rusage
	err := syscall.Getrusage(who, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}
