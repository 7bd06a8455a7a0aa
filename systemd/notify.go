package systemd

import (
	"fmt"
	"os"
	"strconv"
	"sync"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready says that the service serves. A program calls it once all of its servers listen, after
// berth.Ready, and again when a restart that Reloading announced has failed.
//
// In a process that berth.Reexec started the first call sends nothing: MainPID, which the old
// process calls, says the same.
func Ready() error { return own.ready() }

// Reloading says that a restart begins. A program calls it on SIGHUP, before berth.Reexec. The
// manager waits, for TimeoutStartSec at most, until MainPID or Ready says that the restart is over.
//
// A process that is started between the two calls knows by a variable of its environment that the
// service is announced already. A command for Reexec with an environment of its own needs that of
// os.Environ, and takes it after this call.
func Reloading() error { return own.reloading() }

// MainPID says that process pid is the service from now on, and that it serves. A program calls it
// once berth.Reexec has returned. Every later call of this package does nothing in this process,
// and Watchdog returns: the new one is watched.
func MainPID(pid int) error { return own.mainPID(pid) }

// Stopping says that the service ends. A program calls it before it drains. It ends Watchdog: the
// manager does not watch a service that stops.
func Stopping() error { return own.stopping() }

// own is what this process has said so far.
var own = newNotifier()

// heirVariable is in the environment of processes that are started during a restart. It has the
// number of the process that speaks for the service.
const heirVariable = "BERTH_NOTIFIER"

const (
	notifySocket = "NOTIFY_SOCKET"
	watchdogPID  = "WATCHDOG_PID"
)

type notifier struct {
	start sync.Once

	mu   sync.Mutex    // held while a message is sent, so that none comes after the last one
	heir bool          // the process before this one says that this one is ready
	over chan struct{} // closed: this process has nothing more to say
}

func newNotifier() *notifier { return &notifier{over: make(chan struct{})} }

// lock begins a call. It reports whether there is a manager to tell.
func (n *notifier) lock() bool {
	n.start.Do(n.inherit)
	n.mu.Lock()
	select {
	case <-n.over:
		return false
	default:
		return os.Getenv(notifySocket) != ""
	}
}

// inherit reads the variable of an heir, and removes it: it is not meant for this process's
// children. An heir is watched as the process before it was, whose number WATCHDOG_PID has.
func (n *notifier) inherit() {
	speaker, set := os.LookupEnv(heirVariable)
	_ = os.Unsetenv(heirVariable)
	if set && speaker != strconv.Itoa(os.Getpid()) { // its own: the process has become another program
		n.heir = true
		_ = os.Unsetenv(watchdogPID)
	}
}

func (n *notifier) ready() error {
	there := n.lock()
	defer n.mu.Unlock()
	_ = os.Unsetenv(heirVariable)
	if n.heir {
		n.heir = false
		return nil
	}
	if !there {
		return nil
	}
	return send(daemon.SdNotifyReady)
}

func (n *notifier) reloading() error {
	there := n.lock()
	defer n.mu.Unlock()
	if !there {
		return nil
	}
	if err := os.Setenv(heirVariable, strconv.Itoa(os.Getpid())); err != nil {
		return fmt.Errorf("systemd: %w", err)
	}
	return send(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

func (n *notifier) mainPID(pid int) error {
	there := n.lock()
	defer n.mu.Unlock()
	_ = os.Unsetenv(heirVariable)
	if !there {
		return nil
	}
	close(n.over)
	// One message, because the next one from this process would not count. The beat gives the new
	// process a whole interval for its first.
	return send("MAINPID=" + strconv.Itoa(pid) + "\n" + daemon.SdNotifyReady + "\n" + daemon.SdNotifyWatchdog)
}

func (n *notifier) stopping() error {
	there := n.lock()
	defer n.mu.Unlock()
	if !there {
		return nil
	}
	close(n.over)
	return send(daemon.SdNotifyStopping)
}

func (n *notifier) beat() error {
	there := n.lock()
	defer n.mu.Unlock()
	if !there {
		return nil
	}
	return send(daemon.SdNotifyWatchdog)
}

func send(message string) error {
	if _, err := daemon.SdNotify(false, message); err != nil {
		return fmt.Errorf("systemd: the service manager was not told: %w", err)
	}
	return nil
}
