package berth

import (
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// Types of the values below.
type (
	// WhenFull is Options.WhenFull: what happens to a client beyond MaxConnections.
	WhenFull = listener.WhenFull
	// Transport is Options.Transport: how bytes move.
	Transport = listener.Transport
	// Gate is ConnectionOptions.ReadGate: when pending writes hold Data back.
	Gate = connection.Gate
	// Mode is ConnectionOptions.ReadMode: whether Data comes by itself.
	Mode = connection.Mode
	// SlowPolicy is ConnectionOptions.SlowConsumer: what happens to a write that does not fit.
	SlowPolicy = connection.SlowPolicy
)

// Values of Options.
const (
	// Wait leaves a client in the kernel's backlog while the server is full: the default.
	Wait = listener.Wait
	// Reject accepts it and closes it at once, after the RejectMessage.
	Reject = listener.Reject

	// Auto chooses the transport: Poll where the platform and the options allow it.
	Auto = listener.Auto
	// Poll has the server's own event loops.
	Poll = listener.Poll
	// Stream has a goroutine that reads for each connection.
	Stream = listener.Stream
)

// Values of ConnectionOptions.
const (
	// GateQuiet shows no Data while the connection's own writes are pending: the default.
	GateQuiet = connection.GateQuiet
	// GateLowWater shows none while more than LowWater is pending.
	GateLowWater = connection.GateLowWater
	// GateOff shows it whatever is pending.
	GateOff = connection.GateOff

	// Push shows Data as it comes: the default.
	Push = connection.Push
	// Pull shows one Data for each Resume.
	Pull = connection.Pull

	// SlowRefuse refuses a write that does not fit: the default.
	SlowRefuse = connection.SlowRefuse
	// SlowClose closes the connection then.
	SlowClose = connection.SlowClose
	// SlowDropNewest drops the write then.
	SlowDropNewest = connection.SlowDropNewest
)

// What a Warning warns of; each is explained in package connection.
const (
	WarnHandlerBlocked = connection.WarnHandlerBlocked
	WarnPausedReset    = connection.WarnPausedReset
	WarnQueueFull      = connection.WarnQueueFull
	WarnNoIdleTimeout  = connection.WarnNoIdleTimeout
	WarnGroupGrows     = connection.WarnGroupGrows
)

// The orders of a Query; each is explained in package listener.
const (
	SortAge      = listener.SortAge
	SortQueued   = listener.SortQueued
	SortRead     = listener.SortRead
	SortWritten  = listener.SortWritten
	SortState    = listener.SortState
	SortHandler  = listener.SortHandler
	SortUnsorted = listener.SortUnsorted
)

// What ended a connection; each is explained in package protocol.
const (
	ReasonNone             = protocol.ReasonNone
	ReasonHandshake        = protocol.ReasonHandshake
	ReasonPeerClosed       = protocol.ReasonPeerClosed
	ReasonPeerReset        = protocol.ReasonPeerReset
	ReasonLocalClosed      = protocol.ReasonLocalClosed
	ReasonLocalAborted     = protocol.ReasonLocalAborted
	ReasonHandlerError     = protocol.ReasonHandlerError
	ReasonHandlerPanic     = protocol.ReasonHandlerPanic
	ReasonReadBufferFull   = protocol.ReasonReadBufferFull
	ReasonIdleTimeout      = protocol.ReasonIdleTimeout
	ReasonReadTimeout      = protocol.ReasonReadTimeout
	ReasonWriteTimeout     = protocol.ReasonWriteTimeout
	ReasonHalfCloseTimeout = protocol.ReasonHalfCloseTimeout
	ReasonMaxAge           = protocol.ReasonMaxAge
	ReasonSlowConsumer     = protocol.ReasonSlowConsumer
	ReasonLinkDown         = protocol.ReasonLinkDown
	ReasonMemoryBudget     = protocol.ReasonMemoryBudget
	ReasonTransportError   = protocol.ReasonTransportError
	ReasonShutdown         = protocol.ReasonShutdown
	ReasonStopped          = protocol.ReasonStopped
)
