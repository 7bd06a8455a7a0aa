// Package otelberth gives the metrics of Berth's servers to OpenTelemetry, and through its exporter
// to Prometheus.
//
//	metrics, err := otelberth.New(provider)
//	server, err := berth.Listen(addr, metrics.Handler(handler), options)
//	stop, err := metrics.Observe(server)
//
// The names follow the semantic conventions for Kestrel, the server of ASP.NET Core, with berth in
// the place of kestrel: no other published convention is about connections. docs/observing.md has
// the table.
//
// Most values are read from the server when the metrics are collected. Three come from its events:
// the duration of connections and of handshakes, and failures. So the cost is per collection and
// per connection, not per message, but for the time of handlers: Handler times one call of 16.
//
// It is a module of its own, so that programs without OpenTelemetry do not depend on it.
package otelberth
