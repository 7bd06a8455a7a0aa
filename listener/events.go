package listener

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// The events that a listener publishes on the actor system's EventStream, as pointers, besides
// those of package connection. Nothing is logged anywhere else.
type (
	// Started: the listener accepts, or the dialer can dial.
	Started struct{ Addr net.Addr }
	// AcceptFailed: an accept failed, or the listening socket could not be opened again; the next
	// try comes after Wait. 0 means that no try comes by itself: other code closed the socket that
	// Serve was given, or it was a ResumeAccepting without an Ack.
	AcceptFailed struct {
		Addr  net.Addr
		Err   error
		Class AcceptClass
		Wait  time.Duration
	}
	// AcceptorFailed: an acceptor, the actor, panicked or was stopped from outside. It is made anew
	// after Wait, the Restarts-th time within 10 s. Escalated means that this was too often, and
	// the listener's parent decides. If it resumes the listener, the acceptor is made anew as well.
	// No connection is affected.
	AcceptorFailed struct {
		Addr      net.Addr
		Err       error // wraps a *protocol.PanicError where the user's Accept panicked
		Restarts  int
		Wait      time.Duration
		Escalated bool
	}
	// Reopened: the listening socket was lost, and is open again on the same address.
	Reopened struct{ Addr net.Addr }
	// Rejected: a client was accepted and turned away. Clients decide when it comes, and accepting
	// waits for its subscribers: they must not block.
	Rejected struct {
		Addr       net.Addr // the listener's
		RemoteAddr net.Addr
		Reason     protocol.Refusal
	}
	// AlarmRaised: an alarm has gone off, and its callback is called next.
	AlarmRaised struct {
		Addr  net.Addr
		Alarm string // its name
		Open  int    // connections
	}
	// HandedOver: another process has been given the listening socket and serves it too.
	HandedOver struct{ Addr net.Addr }
	// AlarmFailed: the callback of an alarm panicked, or called runtime.Goexit.
	AlarmFailed struct {
		Addr  net.Addr
		Alarm string // its name
		Err   error  // wraps a *protocol.PanicError for a panic
	}
	// BudgetHigh: the connections hold MemoryHighWater, or one of them waits for memory; those that
	// hold most are not read any more.
	BudgetHigh struct {
		Addr             net.Addr
		Buffered, Budget int64
	}
	// BudgetLow: the connections hold no more than MemoryLowWater, and none waits any more.
	BudgetLow struct {
		Addr             net.Addr
		Buffered, Budget int64
	}
	// DrainStarted: the listener shuts down; Open connections have time until Deadline (zero: no
	// limit).
	DrainStarted struct {
		Addr     net.Addr
		Open     int
		Deadline time.Time
	}
	// Stopped: the listener has shut down.
	Stopped struct {
		Addr        net.Addr
		Interrupted int // connections that had work under way when their time was over; see ShutdownError
		Aborted     int // connections that had to be aborted
		Stuck       int // of those, connections whose handler has not returned
		Absent      int // other callbacks that had not returned: of subscribers, alarms, TLS, a net.Conn
	}
)

// Log turns events into log records until the returned subscription is given to the EventStream's
// Unsubscribe. It is all the logging there is.
//
// Events that a client can cause at will are at level Debug (a handshake that begins, a connection
// that opens, begins to end, or has ended), Info (a client that is rejected, a handshake that
// fails) or Warn (a handler that returns an error, a Warning), never at Error. What logger writes
// to must not block: the listener and its connections wait for the record.
func Log(system *actor.ActorSystem, logger *slog.Logger) *eventstream.Subscription {
	return tcpactor.Subscribe(system, func(event any) bool { return logs(logger, event) }, func(event any) {
		level, text := recordOf(event)
		if text == "" || !logger.Enabled(context.Background(), level) {
			return
		}
		logger.LogAttrs(context.Background(), level, text, attributesOf(event)...)
	})
}

// logs reports whether an event may have a record. Those that every connection has need not be made
// if logger takes none of level Debug. A logger's level may change at any time.
func logs(logger *slog.Logger, event any) (may bool) {
	switch event.(type) {
	case *connection.HandshakeStarted, *connection.TLSStarted, *connection.Opened, *connection.Closing, *connection.Closed:
		defer func() { may = may || recover() != nil }() // Enabled is the user's code; it fails where failures are reported
		return logger.Enabled(context.Background(), slog.LevelDebug)
	}
	return true
}

// recordOf returns the level and the message of an event's record, no message for an event that has
// none.
func recordOf(event any) (slog.Level, string) {
	switch e := event.(type) {
	case *Started:
		if e.Addr == (nowhere{}) {
			return slog.LevelInfo, "dialing"
		}
		return slog.LevelInfo, "listening"
	case *AcceptFailed:
		return slog.LevelWarn, "accept failed"
	case *AcceptorFailed:
		return slog.LevelError, "acceptor failed"
	case *Reopened:
		return slog.LevelInfo, "listening again"
	case *Rejected:
		return slog.LevelInfo, "rejected"
	case *AlarmRaised:
		return slog.LevelWarn, "alarm"
	case *AlarmFailed:
		return slog.LevelError, "alarm failed"
	case *HandedOver:
		return slog.LevelInfo, "handed over"
	case *BudgetHigh:
		return slog.LevelWarn, "memory budget: high water"
	case *BudgetLow:
		return slog.LevelInfo, "memory budget: low water"
	case *DrainStarted:
		return slog.LevelInfo, "draining"
	case *Stopped:
		if e.Interrupted+e.Aborted+e.Absent > 0 {
			return slog.LevelWarn, "stopped"
		}
		return slog.LevelInfo, "stopped"
	case *connection.HandshakeStarted:
		return slog.LevelDebug, "handshake started"
	case *connection.TLSStarted:
		return slog.LevelDebug, "TLS started"
	case *connection.HandshakeFailed:
		return slog.LevelInfo, "handshake failed"
	case *connection.Opened:
		return slog.LevelDebug, "opened"
	case *connection.Closing:
		return slog.LevelDebug, "closing"
	case *connection.Closed:
		return slog.LevelDebug, "closed"
	case *connection.HandlerFailed:
		if e.Reason == protocol.ReasonHandlerError {
			return slog.LevelWarn, "handler failed" // what a peer sends may be the reason, and a panic is a mistake of the program
		}
		return slog.LevelError, "handler failed"
	case *connection.Warning:
		if e.Over {
			return slog.LevelInfo, "over: " + e.Kind.String()
		}
		return slog.LevelWarn, e.Kind.String()
	}
	return 0, ""
}

// attributesOf returns the attributes of an event's record.
func attributesOf(event any) []slog.Attr {
	switch e := event.(type) {
	case *Started:
		return attributes("addr", e.Addr)
	case *AcceptFailed:
		return attributes("addr", e.Addr, "error", e.Err, "class", e.Class.String(), "wait", e.Wait)
	case *AcceptorFailed:
		return attributes("addr", e.Addr, "error", e.Err, "restarts", e.Restarts, "wait", e.Wait, "escalated", e.Escalated)
	case *Reopened:
		return attributes("addr", e.Addr)
	case *Rejected:
		return attributes("remote", e.RemoteAddr, "reason", e.Reason.String())
	case *AlarmRaised:
		return attributes("addr", e.Addr, "alarm", e.Alarm, "open", e.Open)
	case *AlarmFailed:
		return attributes("addr", e.Addr, "alarm", e.Alarm, "error", e.Err)
	case *HandedOver:
		return attributes("addr", e.Addr)
	case *BudgetHigh:
		return attributes("addr", e.Addr, "buffered", e.Buffered, "budget", e.Budget)
	case *BudgetLow:
		return attributes("addr", e.Addr, "buffered", e.Buffered, "budget", e.Budget)
	case *DrainStarted:
		return attributes("addr", e.Addr, "open", e.Open, "deadline", e.Deadline)
	case *Stopped:
		return attributes("addr", e.Addr, "interrupted", e.Interrupted, "aborted", e.Aborted, "stuck", e.Stuck, "absent", e.Absent)
	case *connection.HandshakeStarted:
		return attributes("pid", e.PID.GetId(), "remote", e.RemoteAddr)
	case *connection.TLSStarted:
		return attributes("pid", e.PID.GetId(), "remote", e.RemoteAddr, "dialled", e.Dialled, "handshake", e.Handshake)
	case *connection.HandshakeFailed:
		return attributes("remote", e.RemoteAddr, "error", e.Err)
	case *connection.Opened:
		return attributes("pid", e.PID.GetId(), "local", e.LocalAddr, "remote", e.RemoteAddr, "tls", e.TLS, "dialled", e.Dialled, "handshake", e.Handshake)
	case *connection.Closing:
		return attributes("pid", e.PID.GetId(), "remote", e.RemoteAddr, "reason", e.Reason.String(), "error", e.Err)
	case *connection.Closed:
		return attributes("pid", e.PID.GetId(), "remote", e.RemoteAddr, "reason", e.Reason.String(), "error", e.Err,
			"read", e.Stats.Read, "written", e.Stats.Written, "unsent", e.Stats.Unsent, "duration", e.Stats.Duration)
	case *connection.HandlerFailed:
		list := attributes("pid", e.PID.GetId(), "remote", e.RemoteAddr, "reason", e.Reason.String(), "error", e.Err, "restarted", e.Restarted)
		if panicked, is := errors.AsType[*protocol.PanicError](e.Err); is {
			list = append(list, slog.String("stack", string(panicked.Stack)))
		}
		return list
	case *connection.Warning:
		return warningAttributes(e)
	}
	return nil
}

// warningAttributes leaves out what the warning has nothing to say of.
func warningAttributes(w *connection.Warning) []slog.Attr {
	list := attributes("addr", w.Addr)
	if w.PID != nil {
		list = append(list, attributes("pid", w.PID.GetId(), "remote", w.RemoteAddr, "for", w.For)...)
	}
	if w.Members > 0 {
		list = append(list, slog.Int("members", w.Members))
	}
	if !w.Over {
		list = append(list, slog.String("advice", w.Kind.Advice()))
	}
	return list
}

// attributes leaves out what is nil: the error of an end that has none.
func attributes(pairs ...any) []slog.Attr {
	return slices.DeleteFunc(slog.Group("", pairs...).Value.Group(), func(a slog.Attr) bool {
		return a.Value.Kind() == slog.KindAny && a.Value.Any() == nil
	})
}
