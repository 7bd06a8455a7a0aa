package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// Anonymous is how many bytes of memory the process holds that no file backs: heap, stacks and
// runtime structures, without the pages of its binary.
func Anonymous(pid int) (int64, error) {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, fmt.Errorf("the memory of process %d cannot be read: %w", pid, err)
	}
	return anonymous(rollup)
}

func anonymous(rollup []byte) (int64, error) {
	for line := range bytes.Lines(rollup) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == "Anonymous:" {
			kib, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("the kernel's smaps_rollup has no line Anonymous")
}
