package listener

import (
	"sync"
	"time"

	"github.com/go-berth/berth/internal/seam"
)

// delay calls a function once, after a while, on a goroutine of its own. Its owner stops it, and
// the stop joins the goroutine.
type delay struct {
	mu    sync.Mutex
	timer *time.Timer    // nil: none runs
	calls sync.WaitGroup // calls that are to come, or go on
}

// start does nothing if a call is to come already.
func (d *delay) start(wait time.Duration, call func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil {
		return
	}
	d.calls.Add(1)
	d.timer = seam.AfterFunc(wait, func() {
		defer d.calls.Done()
		d.mu.Lock()
		d.timer = nil
		d.mu.Unlock()
		call()
	})
}

// running reports whether a call is to come.
func (d *delay) running() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.timer != nil
}

// stop returns when no call goes on and none is to come. It must not overlap a start, nor come from
// the call.
func (d *delay) stop() {
	d.mu.Lock()
	if d.timer != nil && d.timer.Stop() {
		d.timer = nil
		d.calls.Done()
	}
	d.mu.Unlock()
	wait := seam.Wait()
	d.calls.Wait()
	wait.Over()
}
