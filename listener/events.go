package listener

import (
	"context"
	"log/slog"
	"net"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// The events that a listener publishes on the actor system's EventStream, besides
// connection.HandlerFailed and connection.HandshakeFailed. Nothing is logged anywhere else.
type (
	// Started: the listener accepts.
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
		RemoteAddr net.Addr
		Reason     protocol.Refusal
	}
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
// Events that a client can cause at will are at level Info (a client that is rejected, a handshake
// that fails) or Warn (a handler that returns an error), never at Error. What logger writes to must
// not block: the listener and its connections wait for the record.
func Log(system *actor.ActorSystem, logger *slog.Logger) *eventstream.Subscription {
	return system.EventStream.Subscribe(func(event any) {
		switch e := event.(type) {
		case *Started:
			logger.Info("listening", "addr", e.Addr)
		case *AcceptFailed:
			logger.Warn("accept failed", "addr", e.Addr, "error", e.Err, "class", e.Class.String(), "wait", e.Wait)
		case *AcceptorFailed:
			logger.Error("acceptor failed", "addr", e.Addr, "error", e.Err, "restarts", e.Restarts, "wait", e.Wait, "escalated", e.Escalated)
		case *Reopened:
			logger.Info("listening again", "addr", e.Addr)
		case *Rejected:
			logger.Info("rejected", "remote", e.RemoteAddr, "reason", e.Reason.String())
		case *AlarmFailed:
			logger.Error("alarm failed", "addr", e.Addr, "alarm", e.Alarm, "error", e.Err)
		case *BudgetHigh:
			logger.Warn("memory budget: high water", "addr", e.Addr, "buffered", e.Buffered, "budget", e.Budget)
		case *BudgetLow:
			logger.Info("memory budget: low water", "addr", e.Addr, "buffered", e.Buffered, "budget", e.Budget)
		case *DrainStarted:
			logger.Info("draining", "addr", e.Addr, "open", e.Open, "deadline", e.Deadline)
		case *Stopped:
			level := slog.LevelInfo
			if e.Interrupted+e.Aborted+e.Absent > 0 {
				level = slog.LevelWarn
			}
			logger.Log(context.Background(), level, "stopped",
				"addr", e.Addr, "interrupted", e.Interrupted, "aborted", e.Aborted, "stuck", e.Stuck, "absent", e.Absent)
		case *connection.HandshakeFailed:
			logger.Info("handshake failed", "remote", e.RemoteAddr, "error", e.Err)
		case *connection.HandlerFailed:
			level := slog.LevelError
			if e.Reason == protocol.ReasonHandlerError {
				level = slog.LevelWarn // what a peer sends may be the reason, and a panic is a mistake of the program
			}
			logger.Log(context.Background(), level, "handler failed", "pid", e.PID.GetId(), "reason", e.Reason.String(), "error", e.Err, "restarted", e.Restarted)
		}
	})
}
