package main

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// median returns that of a figure of each round, taken with the other's round beside it.
func median(some, others []cost, figure func(one, other cost) float64) float64 {
	figures := make([]float64, len(some))
	for i := range some {
		figures[i] = figure(some[i], others[i])
	}
	slices.Sort(figures)
	return (figures[(len(figures)-1)/2] + figures[len(figures)/2]) / 2
}

// load is what the machine does besides.
type load struct {
	began time.Time
	busy  time.Duration // all processors, since the boot
	own   time.Duration
}

func newLoad() load { return load{time.Now(), machineTime(), familyTime()} }

// since says how busy others kept the machine. The servers' processes have ended, so that their
// time is known.
func (l load) since() string {
	busy, wall := machineTime(), time.Since(l.began)
	if busy == 0 {
		return "How busy other programs kept the machine is not known on this system."
	}
	others := max(0, (busy-l.busy)-(familyTime()-l.own))
	share := others.Seconds() / wall.Seconds()
	verdict := "The machine was quiet"
	if share > 0.1 {
		verdict = "The machine was loaded by other work, so wall time scatters; ratios of CPU time hold better"
	}
	return fmt.Sprintf("%s: other programs took %.2f of its %d processors.", verdict, share, runtime.NumCPU())
}

// machineTime is the processor time of all programs since the boot; 0 where the system does not
// tell.
func machineTime() time.Duration {
	file, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	var user, nice, system, idle, waiting, interrupts, soft int64
	first, _, _ := strings.Cut(string(file), "\n")
	if _, err := fmt.Sscanf(first, "cpu %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &waiting, &interrupts, &soft); err != nil {
		return 0
	}
	const tick = 10 * time.Millisecond
	return time.Duration(user+nice+system+interrupts+soft) * tick
}
