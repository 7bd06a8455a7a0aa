//go:build unix

package listener

import "golang.org/x/sys/unix"

// openFilesLimit returns how many descriptors the process may have open, 0 if unknown.
func openFilesLimit() uint64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return uint64(limit.Cur) //nolint:unconvert // signed on some BSDs
}
