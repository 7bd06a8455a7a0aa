package systemd

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Watchdog tells the manager at half the interval of WatchdogSec that the service is alive, as long
// as check returns nil. It returns when ctx is done, or after MainPID or Stopping. Without a
// WatchdogSec, and in a process that the manager does not watch, it returns nil at once. So it runs
// on a goroutine of its own. The error is about a WATCHDOG_USEC that makes no sense.
//
// check should ask the server for something that only a server that works can give. It has a
// quarter of the interval: then its context is done. After an error it is called again an eighth of
// the interval later, so there are two attempts before the manager ends the service. check logs why
// it failed: the manager does not know. The manager sends SIGABRT, at which a Go program prints the
// stacks of its goroutines.
func Watchdog(ctx context.Context, check func(context.Context) error) error {
	return own.watchdog(ctx, check)
}

func (n *notifier) watchdog(ctx context.Context, check func(context.Context) error) error {
	there := n.lock()
	n.mu.Unlock()
	if !there {
		return nil
	}
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("systemd: WATCHDOG_USEC is %q: %w", os.Getenv("WATCHDOG_USEC"), err)
	}
	if interval == 0 {
		return nil
	}
	// A process that was just started waits for its first beat too: the one before it may still be
	// the service.
	for wait := interval / 2; n.pause(ctx, wait); {
		wait = interval / 2
		if !alive(ctx, interval/4, check) || n.beat() != nil {
			wait = interval / 8
		}
	}
	return nil
}

// pause reports false if Watchdog is over.
func (n *notifier) pause(ctx context.Context, wait time.Duration) bool {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
	case <-n.over:
	}
	return false
}

func alive(ctx context.Context, limit time.Duration, check func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	return check(ctx) == nil && ctx.Err() == nil
}
