package proc

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// EnsureDescriptors raises the limit on open descriptors to the hard limit and says whether n
// fit under it, with room for the few a process needs besides.
func EnsureDescriptors(n int) error {
	const besides = 64
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit on open descriptors cannot be read: %w", err)
	}
	limit.Cur = limit.Max
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("the limit on open descriptors cannot be raised: %w", err)
	}
	if uint64(n+besides) > limit.Max {
		return fmt.Errorf("%d connections need %d descriptors, and the hard limit is %d", n, n+besides, limit.Max)
	}
	return nil
}
