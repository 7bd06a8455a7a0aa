package otelberth

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// instruments are all that there are. docs/observing.md lists them, and a test compares.
type instruments struct {
	activeConnections, queuedConnections, activeHandshakes   metric.Int64ObservableUpDownCounter
	pausedConnections, throttledConnections, fullConnections metric.Int64ObservableUpDownCounter
	queueWrites, queueSize, memory                           metric.Int64ObservableUpDownCounter
	rejectedConnections, io, handOvers, acceptErrors         metric.Int64ObservableCounter
	loopLag                                                  metric.Float64ObservableGauge
	connectionDuration, handshakeDuration, handlerDuration   metric.Float64Histogram
	handlerFailures, warnings                                metric.Int64Counter
}

// make makes the instruments.
func (i *instruments) make(meter metric.Meter) error {
	var problems []error
	number := func(name, unit, description string) metric.Int64ObservableUpDownCounter {
		one, err := meter.Int64ObservableUpDownCounter("berth."+name, metric.WithUnit(unit), metric.WithDescription(description))
		problems = append(problems, err)
		return one
	}
	count := func(name, unit, description string) metric.Int64ObservableCounter {
		one, err := meter.Int64ObservableCounter("berth."+name, metric.WithUnit(unit), metric.WithDescription(description))
		problems = append(problems, err)
		return one
	}
	histogram := func(name, description string, boundaries []float64) metric.Float64Histogram {
		one, err := meter.Float64Histogram("berth."+name, metric.WithUnit("s"), metric.WithDescription(description),
			metric.WithExplicitBucketBoundaries(boundaries...))
		problems = append(problems, err)
		return one
	}
	event := func(name, unit, description string) metric.Int64Counter {
		one, err := meter.Int64Counter("berth."+name, metric.WithUnit(unit), metric.WithDescription(description))
		problems = append(problems, err)
		return one
	}
	i.activeConnections = number("active_connections", "{connection}", "Connections that are open now.")
	i.connectionDuration = histogram("connection.duration", "How long connections were open.", durations)
	i.rejectedConnections = count("rejected_connections", "{connection}", "Clients that were accepted and turned away.")
	i.queuedConnections = number("queued_connections", "{connection}", "Clients that were accepted and wait for a permit.")
	i.activeHandshakes = number("active_tls_handshakes", "{handshake}", "TLS handshakes under way now.")
	i.handshakeDuration = histogram("tls_handshake.duration", "How long TLS handshakes took.", handshakes)
	i.pausedConnections = number("paused_connections", "{connection}", "Connections that are paused now.")
	i.throttledConnections = number("throttled_connections", "{connection}", "Connections that are not read now because of the memory budget.")
	i.fullConnections = number("full_connections", "{connection}", "Connections whose write queue is full now.")
	i.queueWrites = number("write_queue.writes", "{write}", "Accepted writes that the kernel has not taken yet.")
	i.queueSize = number("write_queue.size", "By", "Bytes of accepted writes that the kernel has not taken yet.")
	i.memory = number("memory_budget.usage", "By", "Memory that the connections hold of the memory budget.")
	i.io = count("connection.io", "By", "Bytes received from and given to the kernel.")
	i.handOvers = count("hand_overs", "{hand_over}", "How often another process was given the listening socket.")
	i.acceptErrors = count("accept_errors", "{error}", "Accepts that failed.")
	i.handlerFailures = event("handler_failures", "{failure}", "Handlers that panicked or returned an error.")
	i.warnings = event("warnings", "{warning}", "Warnings that were raised.")
	i.handlerDuration = histogram("handler.duration", "How long handler calls with data took; one of 16 is recorded.", handlers)
	lag, err := meter.Float64ObservableGauge("berth.loop.lag", metric.WithUnit("s"),
		metric.WithDescription("How long a probe waited in the run queue of an event loop, or of the pool."))
	i.loopLag = lag
	return errors.Join(append(problems, err)...)
}

// observables are those that collect reports.
func (i *instruments) observables() []metric.Observable {
	return []metric.Observable{
		i.activeConnections, i.queuedConnections, i.activeHandshakes, i.pausedConnections, i.throttledConnections,
		i.fullConnections, i.queueWrites, i.queueSize, i.memory, i.rejectedConnections, i.io, i.handOvers, i.acceptErrors, i.loopLag,
	}
}
