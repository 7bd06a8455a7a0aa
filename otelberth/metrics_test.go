package otelberth_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	prometheusclient "github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/otelberth"
)

func TestConnectionsAndBytesAreCounted(t *testing.T) {
	w := serve(t, berth.Options{MaxConnections: 2, WhenFull: berth.Reject})
	first, second := w.dial(), w.dial()
	w.ask(first, "hello")
	w.ask(second, "hello")
	addr := w.server.Addr().(*net.TCPAddr)
	here := []attribute.KeyValue{
		attribute.String("network.transport", "tcp"), attribute.String("network.type", "ipv4"),
		attribute.String("server.address", "127.0.0.1"), attribute.Int("server.port", addr.Port),
	}
	assert.EqualValues(t, 2, w.value("berth.active_connections", here...))
	assert.EqualValues(t, 12, w.value("berth.connection.io", append(here, attribute.String("network.io.direction", "receive"))...))
	assert.EqualValues(t, 12, w.value("berth.connection.io", append(here, attribute.String("network.io.direction", "transmit"))...))
	assert.EqualValues(t, 2, w.value("berth.handler.duration", here...), "the first call of each connection")

	w.dial()
	w.eventually(1, "berth.rejected_connections", attribute.String("error.type", "full"))
	require.NoError(t, first.Close())
	w.eventually(1, "berth.connection.duration", here...)
	assert.EqualValues(t, 0, w.value("berth.connection.duration", attribute.String("error.type", "peer_closed")), "that is no error")
	_, err := io.WriteString(second, "fail\n")
	require.NoError(t, err)
	w.eventually(1, "berth.connection.duration", attribute.String("error.type", "handler_error"))
	w.eventually(1, "berth.handler_failures", attribute.String("error.type", "handler_error"))
	w.eventually(0, "berth.active_connections")
}

func TestHandshakesOfAStartTLSAreMeasured(t *testing.T) {
	certificate, roots := certified(t)
	server := &tls.Config{Certificates: []tls.Certificate{certificate}}
	w := serve(t, berth.Options{})
	start := func(client *tls.Config) error {
		conn := w.dial()
		w.ask(conn, "hello")
		for _, socket := range w.server.Connections() {
			if socket.RemoteAddr().String() == conn.LocalAddr().String() {
				require.NoError(t, socket.StartTLS(server))
			}
		}
		return tls.Client(conn, client).Handshake()
	}
	require.NoError(t, start(&tls.Config{RootCAs: roots, ServerName: "berth.test"}))
	w.eventually(1, "berth.tls_handshake.duration")
	require.Error(t, start(&tls.Config{RootCAs: x509.NewCertPool(), ServerName: "berth.test"}))
	w.eventually(1, "berth.tls_handshake.duration", attribute.String("error.type", "handshake_failed"))
	w.eventually(2, "berth.tls_handshake.duration")
}

func TestPausesQueuesAndHandOversAreCounted(t *testing.T) {
	w := serve(t, berth.Options{})
	w.ask(w.dial(), "hello")
	socket := w.server.Connections()[0]
	socket.Pause()
	w.eventually(1, "berth.paused_connections")
	assert.Zero(t, w.value("berth.full_connections"))
	for { // the peer does not read
		if _, err := socket.Write(make([]byte, 16<<10)); err != nil {
			break
		}
	}
	assert.EqualValues(t, 1, w.value("berth.full_connections"))
	assert.Positive(t, w.value("berth.write_queue.writes"))
	assert.Greater(t, w.value("berth.write_queue.size"), w.value("berth.write_queue.writes"))
	require.NoError(t, w.server.HandedOver())
	assert.EqualValues(t, 1, w.value("berth.hand_overs"))
}

func TestAnotherServersEventsAreNotCounted(t *testing.T) {
	w := serve(t, berth.Options{})
	other, err := berth.ListenIn(w.server.ActorSystem().Root, "127.0.0.1:0", handler, berth.Options{})
	require.NoError(t, err)
	conn, err := net.Dial("tcp", other.Addr().String())
	require.NoError(t, err)
	w.ask(conn, "hello")
	require.NoError(t, conn.Close())
	w.ask(w.dial(), "hello")
	require.NoError(t, other.Close())
	assert.Zero(t, w.value("berth.connection.duration"))
	assert.EqualValues(t, 1, w.value("berth.active_connections"))
}

func TestWithoutAServerThereIsAnError(t *testing.T) {
	metrics, err := otelberth.New(nil)
	require.NoError(t, err)
	_, err = metrics.Observe(nil)
	assert.EqualError(t, err, "otelberth: no server to observe")
}

// everything brings about a value of every metric. What is returned has no TLS configuration of
// its own.
func everything(t *testing.T, others ...metric.Option) *world {
	certificate, roots := certified(t)
	options := berth.Options{MaxConnections: 3, WhenFull: berth.Reject, MemoryBudget: 1 << 20}
	options.TLSConfig = &tls.Config{Certificates: []tls.Certificate{certificate}}
	options.Connection.WarnAfter = 50 * time.Millisecond
	w := serve(t, options, others...)
	secured := func() *tls.Conn {
		conn := tls.Client(w.dial(), &tls.Config{RootCAs: roots, ServerName: "berth.test"})
		require.NoError(t, conn.Handshake())
		return conn
	}
	w.ask(secured(), "block")
	failing := secured()
	_, err := io.WriteString(failing, "fail\n")
	require.NoError(t, err)
	w.eventually(1, "berth.handler_failures")
	w.eventually(1, "berth.connection.duration")
	_ = failing.Close()
	w.eventually(1, "berth.active_connections")
	stranger := tls.Client(w.dial(), &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "berth.test"})
	require.Error(t, stranger.Handshake())
	w.eventually(1, "berth.tls_handshake.duration", attribute.String("error.type", "handshake_failed"))
	w.eventually(1, "berth.warnings", attribute.String("berth.warning", "handler_blocked"))
	w.dial()
	w.dial()
	w.eventually(2, "berth.active_tls_handshakes")
	w.dial()
	w.eventually(1, "berth.rejected_connections")
	return w
}

// row is a row of the table in docs/observing.md: name, instrument, unit, attributes.
var row = regexp.MustCompile("(?m)^\\| `(berth\\.[a-z_.]+)` \\| ([a-z -]+) \\| `([^`]+)` \\| ([^|]*) \\|")

func TestTheTableOfMetricsIsTheCodes(t *testing.T) {
	page, err := os.ReadFile("../docs/observing.md")
	require.NoError(t, err)
	documented := map[string][3]string{}
	for _, match := range row.FindAllStringSubmatch(string(page), -1) {
		documented[match[1]] = [3]string{match[2], match[3], match[4]}
	}
	require.NotEmpty(t, documented)
	base := map[string]bool{"network.transport": true, "network.type": true, "server.address": true, "server.port": true}
	found := map[string][3]string{}
	for name, m := range everything(t).collect() {
		kind, sets := kindOf(m)
		others := map[string]bool{}
		for _, set := range sets {
			for _, one := range set.ToSlice() {
				if !base[string(one.Key)] {
					others["`"+string(one.Key)+"`"] = true
				}
			}
			for key := range base {
				assert.True(t, set.HasValue(attribute.Key(key)), "%s has no %s", name, key)
			}
		}
		assert.LessOrEqual(t, len(others), 1)
		list := "-"
		for one := range others {
			list = one
		}
		found[name] = [3]string{kind, m.Unit, list}
		assert.NotEmpty(t, m.Description)
	}
	assert.Equal(t, found, documented)
}

// kindOf returns the instrument of a metric, in the words of the table, and the attributes of its
// points.
func kindOf(m metricdata.Metrics) (kind string, sets []attribute.Set) {
	switch data := m.Data.(type) {
	case metricdata.Sum[int64]:
		kind = "up-down counter"
		if data.IsMonotonic {
			kind = "counter"
		}
		for _, p := range data.DataPoints {
			sets = append(sets, p.Attributes)
		}
	case metricdata.Gauge[float64]:
		kind = "gauge"
		for _, p := range data.DataPoints {
			sets = append(sets, p.Attributes)
		}
	case metricdata.Histogram[float64]:
		kind = "histogram"
		for _, p := range data.DataPoints {
			sets = append(sets, p.Attributes)
		}
	}
	return kind, sets
}

func TestWhatPrometheusGetsPassesPromlint(t *testing.T) {
	registry := prometheusclient.NewRegistry()
	exporter, err := prometheus.New(prometheus.WithRegisterer(registry))
	require.NoError(t, err)
	everything(t, metric.WithReader(exporter))
	scraped := httptest.NewServer(promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	defer scraped.Close()
	answer, err := http.Get(scraped.URL)
	require.NoError(t, err)
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.NoError(t, answer.Body.Close())
	problems, err := promlint.New(strings.NewReader(string(text))).Lint()
	require.NoError(t, err)
	assert.Empty(t, problems)
	for _, name := range []string{
		"berth_active_connections", "berth_connection_duration_seconds_bucket", "berth_rejected_connections_total",
		"berth_queued_connections", "berth_active_tls_handshakes", "berth_tls_handshake_duration_seconds_count",
		"berth_write_queue_size_bytes", "berth_connection_io_bytes_total", "berth_loop_lag_seconds",
	} {
		assert.Contains(t, string(text), "\n"+name+"{", "%s is not there", name)
	}
	http.DefaultClient.CloseIdleConnections()
}
