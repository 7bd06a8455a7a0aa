package nodes

import (
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Usage is what a process has used.
type Usage struct {
	// User and System are the processor time since the start of the process.
	User, System time.Duration
	// Live are the bytes of objects on the heap that the last collection found to be in use, and
	// PeakLive the most that any collection has found since Reset.
	Live, PeakLive uint64
	// Resident are the bytes of the process in memory, garbage and stacks included; PeakResident
	// the most of them in any sample since Reset.
	Resident, PeakResident uint64
}

// Total is the processor time in user and kernel mode.
func (u Usage) Total() time.Duration { return u.User + u.System }

// every is the time between two samples of memory. Each collects garbage, so that no growth of what
// is in use stays unseen for longer.
const every = 100 * time.Millisecond

// Meter measures its own process. Its methods are called by net/rpc, from any goroutine.
type Meter struct {
	mu   sync.Mutex
	last Usage
	on   bool // memory is sampled
}

// sample starts the goroutine that samples memory. The function stops it, and waits for its end.
func (m *Meter) sample() (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticks := time.NewTicker(every)
		defer ticks.Stop()
		for {
			select {
			case <-end:
				return
			case <-ticks.C:
				m.mu.Lock()
				if m.on {
					m.measure()
				}
				m.mu.Unlock()
			}
		}
	}()
	return func() { close(end); <-ended }
}

// measure collects garbage and reads the figures. The lock is held.
func (m *Meter) measure() {
	runtime.GC()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	m.last.Live = live[0].Value.Uint64()
	m.last.PeakLive = max(m.last.PeakLive, m.last.Live)
	if statm, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident uint64
		if _, err := fmt.Sscan(strings.TrimSpace(string(statm)), &size, &resident); err == nil {
			m.last.Resident = resident * uint64(os.Getpagesize())
			m.last.PeakResident = max(m.last.PeakResident, m.last.Resident)
		}
	}
}

// Reset forgets the peaks, begins to sample memory, and answers as Memory does.
func (m *Meter) Reset(_ struct{}, usage *Usage) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.on, m.last = true, Usage{}
	runtime.GC() // a finalizer's object goes with the second
	m.measure()
	*usage = m.last
	return nil
}

// Memory answers with the figures of memory, measured now.
func (m *Meter) Memory(_ struct{}, usage *Usage) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.measure()
	*usage = m.last
	return nil
}

// Time answers with the processor time.
func (m *Meter) Time(_ struct{}, usage *Usage) error {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	usage.User, usage.System = time.Duration(used.Utime.Nano()), time.Duration(used.Stime.Nano())
	return nil
}
