package otelberth

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// scope is the name of the instrumentation scope.
const scope = "github.com/go-berth/berth/otelberth"

// lagWait bounds how long a collection waits for the event loops. A loop that is not through until
// then is reported with this time.
const lagWait = 100 * time.Millisecond

// Boundaries of the histograms in seconds: those of the Kestrel conventions, and finer ones for
// handlers.
var (
	durations  = []float64{0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 120, 300}
	handshakes = []float64{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}
	handlers   = []float64{0.000001, 0.000005, 0.00001, 0.00005, 0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10}
)

// Metrics are the instruments of one server, or of several servers with different addresses. Any
// goroutine may call the methods.
type Metrics struct {
	instruments
	meter  metric.Meter
	server atomic.Pointer[metric.MeasurementOption] // the attributes of the server that Handler's handlers belong to
}

// New makes the instruments. A nil provider is OpenTelemetry's global one.
func New(provider metric.MeterProvider) (*Metrics, error) {
	if provider == nil {
		provider = otel.GetMeterProvider()
	}
	m := &Metrics{meter: provider.Meter(scope)}
	return m, m.make(m.meter)
}

// Handler puts a clock around a server's handlers, for berth.handler.duration and for Info.Handler:
// see berth.Measure. Nothing is recorded before Observe. A Metrics with several servers has the
// handlers of the last one that is observed only.
func (m *Metrics) Handler(handler berth.Factory) berth.Factory {
	return berth.Measure(handler, func(took time.Duration) {
		if attributes := m.server.Load(); attributes != nil {
			m.handlerDuration.Record(context.Background(), took.Seconds(), *attributes)
		}
	})
}

// Observe reports the metrics of a server from now on, until stop is called. stop may be called
// again.
func (m *Metrics) Observe(server *berth.Server) (stop func() error, err error) {
	if server == nil {
		return nil, errors.New("otelberth: no server to observe")
	}
	o := &observed{Metrics: m, server: server, addr: server.Addr().String()}
	o.base = addressOf(server.Addr())
	set := metric.WithAttributeSet(attribute.NewSet(o.base...))
	o.all = set
	m.server.Store(&set)
	registration, err := m.meter.RegisterCallback(o.collect, m.observables()...)
	if err != nil {
		return nil, err
	}
	events := server.ActorSystem().EventStream
	subscription := events.Subscribe(o.event)
	return sync.OnceValue(func() error {
		events.Unsubscribe(subscription)
		m.server.CompareAndSwap(&set, nil)
		return registration.Unregister()
	}), nil
}

// observed is a server whose metrics are reported.
type observed struct {
	*Metrics
	server *berth.Server
	addr   string
	base   []attribute.KeyValue
	all    metric.MeasurementOption // base
}

// with returns the server's attributes and others.
func (o *observed) with(more ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributes(append(slices.Clip(o.base), more...)...)
}

// errorType returns the attribute for an error, in the form of the conventions.
func errorType(words string) attribute.KeyValue {
	return attribute.String("error.type", identifier(words))
}

func identifier(words string) string { return strings.NewReplacer(" ", "_", "-", "_").Replace(words) }

// collect reads what the server counts.
func (o *observed) collect(ctx context.Context, to metric.Observer) error {
	info := o.server.Info()
	handshakes := 0
	if o.server.Options().TLSConfig != nil {
		handshakes = info.ByState[protocol.StateOpening]
	}
	for _, one := range []struct {
		instrument metric.Int64Observable
		value      int64
	}{
		{o.activeConnections, int64(info.Open)},
		{o.queuedConnections, int64(info.Waiting)},
		{o.activeHandshakes, int64(handshakes)},
		{o.pausedConnections, int64(info.Paused)},
		{o.throttledConnections, int64(info.Throttled)},
		{o.fullConnections, int64(info.Full)},
		{o.queueWrites, int64(info.QueuedWrites)},
		{o.queueSize, int64(info.QueuedBytes)},
		{o.memory, info.BufferedBytes},
		{o.handOvers, int64(info.HandOvers)},
		{o.acceptErrors, int64(info.AcceptErrors)},
	} {
		to.ObserveInt64(one.instrument, one.value, o.all)
	}
	to.ObserveInt64(o.io, int64(info.Read), o.with(attribute.String("network.io.direction", "receive")))
	to.ObserveInt64(o.io, int64(info.Written), o.with(attribute.String("network.io.direction", "transmit")))
	for refusal, count := range info.Refused {
		to.ObserveInt64(o.rejectedConnections, int64(count), o.with(errorType(refusalTypes[refusal])))
	}
	ctx, cancel := context.WithTimeout(ctx, lagWait)
	defer cancel()
	for number, lag := range o.server.LoopLag(ctx) {
		to.ObserveFloat64(o.loopLag, lag.Seconds(), o.with(attribute.Int("berth.loop", number)))
	}
	return nil
}

// refusalTypes are the values of error.type for the reasons of a refusal, whose own words are
// sentences.
var refusalTypes = map[protocol.Refusal]string{
	protocol.RefusalDenied:    "denied",
	protocol.RefusalPerIP:     "per_ip",
	protocol.RefusalFull:      "full",
	protocol.RefusalRate:      "rate",
	protocol.RefusalUntrusted: "untrusted",
}

// event records what is known when it happens only.
func (o *observed) event(event any) {
	ctx := context.Background()
	switch e := event.(type) {
	case *connection.Opened:
		if o.ours(e.Addr) && e.TLS && e.Handshake > 0 && !e.Dialled {
			o.handshakeDuration.Record(ctx, e.Handshake.Seconds(), o.all)
		}
	case *connection.TLSStarted:
		if o.ours(e.Addr) && !e.Dialled {
			o.handshakeDuration.Record(ctx, e.Handshake.Seconds(), o.all)
		}
	case *connection.HandshakeFailed:
		// Without TLS it was the PROXY header; a StartTLS may fail before its handshake.
		if o.ours(e.Addr) && (e.StartTLS && e.After > 0 || !e.StartTLS && o.server.Options().TLSConfig != nil) {
			o.handshakeDuration.Record(ctx, e.After.Seconds(), o.with(errorType(berth.ReasonHandshake.String())))
		}
	case *connection.Closed:
		if !o.ours(e.Addr) {
			return
		}
		attributes := o.all
		if e.Err != nil {
			attributes = o.with(errorType(e.Reason.String()))
		}
		o.connectionDuration.Record(ctx, e.Stats.Duration.Seconds(), attributes)
	case *connection.HandlerFailed:
		if o.ours(e.Addr) {
			o.handlerFailures.Add(ctx, 1, o.with(errorType(e.Reason.String())))
		}
	case *connection.Warning:
		if o.ours(e.Addr) && !e.Over {
			o.warnings.Add(ctx, 1, o.with(attribute.String("berth.warning", warningNames[e.Kind])))
		}
	}
}

// warningNames are the values of berth.warning.
var warningNames = map[berth.WarningKind]string{
	berth.WarnHandlerBlocked: "handler_blocked",
	berth.WarnPausedReset:    "paused_reset",
	berth.WarnQueueFull:      "queue_full",
	berth.WarnNoIdleTimeout:  "no_idle_timeout",
	berth.WarnGroupGrows:     "group_grows",
}

func (o *observed) ours(addr net.Addr) bool { return addr != nil && addr.String() == o.addr }

// addressOf returns the attributes of the conventions for a server's address.
func addressOf(addr net.Addr) []attribute.KeyValue {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return []attribute.KeyValue{
			attribute.String("network.transport", addr.Network()),
			attribute.String("server.address", addr.String()),
		}
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	kind := "ipv6"
	if ip.Unmap().Is4() {
		kind = "ipv4"
	}
	return []attribute.KeyValue{
		attribute.String("network.transport", "tcp"),
		attribute.String("network.type", kind),
		attribute.String("server.address", tcp.IP.String()),
		attribute.Int("server.port", tcp.Port),
	}
}
