package proc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"
)

// tick is the unit of time in /proc (USER_HZ).
const tick = 10 * time.Millisecond

// Share is how a process's CPU time divides into user and system time, as /proc/PID/stat counts
// them: exact to a tick of 10 ms. For the sum, CPU is exact.
type Share struct{ User, System time.Duration }

// Shared reads the Share of a process.
func Shared(pid int) (Share, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Share{}, fmt.Errorf("the times of process %d cannot be read: %w", pid, err)
	}
	return share(text)
}

// share reads the 14th and 15th field of /proc/PID/stat. The second is a name in brackets, which
// may contain anything.
func share(stat []byte) (Share, error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	const user, system = 14 - 3, 15 - 3
	if len(fields) <= system {
		return Share{}, fmt.Errorf("%q has no times of a process", stat)
	}
	times, err := ticks(fields[user : system+1])
	if err != nil {
		return Share{}, err
	}
	return Share{User: times[0], System: times[1]}, nil
}

// Busy is how long the machine's cores have been at work since it was started, all together: for
// any process, for the kernel, and for other virtual machines on the same processor.
func Busy() (time.Duration, error) {
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, fmt.Errorf("the times of the machine cannot be read: %w", err)
	}
	return busy(text)
}

// busy reads the first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal.
// What follows is contained in user and nice.
func busy(stat []byte) (time.Duration, error) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(line)
	const first, fewest, idle, iowait = 1, 9, 3, 4
	if len(fields) < fewest || string(fields[0]) != "cpu" {
		return 0, fmt.Errorf("%q has no times of a machine", line)
	}
	times, err := ticks(fields[first:fewest])
	sum := time.Duration(0)
	for i, t := range times {
		if i != idle && i != iowait {
			sum += t
		}
	}
	return sum, err
}

func ticks(fields [][]byte) ([]time.Duration, error) {
	var all []time.Duration
	for _, field := range fields {
		n, err := strconv.ParseInt(string(field), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no number of ticks", field)
		}
		all = append(all, time.Duration(n)*tick)
	}
	return all, nil
}
