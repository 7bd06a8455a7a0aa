// Package machine describes the computer a run was made on.
package machine

import (
	"bytes"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Kernel is the running kernel's release, or "unknown".
func Kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return "unknown"
	}
	return unix.ByteSliceToString(name.Release[:])
}

// Load is the load average over the last minute, or "unknown". It shows whether other programs ran
// at the same time.
func Load() string {
	averages, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	first, _, _ := strings.Cut(string(averages), " ")
	return first
}

// CPU is the processor's name as /proc/cpuinfo gives it, or "unknown" (not every architecture's
// does).
func CPU() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range bytes.Lines(info) {
		if name, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}
