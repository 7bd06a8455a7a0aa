package otelberth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/otelberth"
)

// patience is how long a test waits for what comes at once. Only a failing test waits that long.
const patience = 20 * time.Second

// world is a server whose metrics a test reads.
type world struct {
	t      *testing.T
	server *berth.Server
	reader *metric.ManualReader
}

// handler answers each line: "fail" by an error, "block" after a while, others by themselves.
var handler = berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
	line, ok := data.ReadLine()
	if !ok {
		return nil
	}
	switch string(line) {
	case "fail":
		return io.ErrUnexpectedEOF
	case "block":
		time.Sleep(600 * time.Millisecond)
	}
	_, err := socket.Write(append(line, '\n'))
	return err
})

func serve(t *testing.T, options berth.Options, others ...metric.Option) *world {
	t.Helper()
	w := &world{t: t, reader: metric.NewManualReader()}
	provider := metric.NewMeterProvider(append(others, metric.WithReader(w.reader))...)
	metrics, err := otelberth.New(provider)
	require.NoError(t, err)
	system := berth.NewSystem(actor.WithDeadLetterThrottleInterval(time.Millisecond),
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) }))
	w.server, err = berth.ListenIn(system.Root, "127.0.0.1:0", metrics.Handler(handler), options)
	require.NoError(t, err)
	stop, err := metrics.Observe(w.server)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, w.server.Close())
		require.NoError(t, stop())
		require.NoError(t, stop())
		require.NoError(t, provider.Shutdown(t.Context()))
	})
	return w
}

func (w *world) dial() net.Conn {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.server.Addr().String())
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = conn.Close() })
	require.NoError(w.t, conn.SetDeadline(time.Now().Add(patience)))
	return conn
}

// ask sends a line and returns once it has come back.
func (w *world) ask(conn net.Conn, line string) {
	w.t.Helper()
	_, err := io.WriteString(conn, line+"\n")
	require.NoError(w.t, err)
	_, err = io.ReadFull(conn, make([]byte, len(line)+1))
	require.NoError(w.t, err)
}

// collect returns the metrics by name.
func (w *world) collect() map[string]metricdata.Metrics {
	w.t.Helper()
	var all metricdata.ResourceMetrics
	require.NoError(w.t, w.reader.Collect(w.t.Context(), &all))
	found := map[string]metricdata.Metrics{}
	for _, s := range all.ScopeMetrics {
		for _, m := range s.Metrics {
			found[m.Name] = m
		}
	}
	return found
}

// value returns the sum of the points of a metric that have these attributes; of a histogram, how
// many values it has.
func (w *world) value(name string, attributes ...attribute.KeyValue) (sum int64) {
	w.t.Helper()
	has := func(set attribute.Set) bool {
		for _, one := range attributes {
			if v, found := set.Value(one.Key); !found || v != one.Value {
				return false
			}
		}
		return true
	}
	switch data := w.collect()[name].Data.(type) {
	case metricdata.Sum[int64]:
		for _, p := range data.DataPoints {
			if has(p.Attributes) {
				sum += p.Value
			}
		}
	case metricdata.Histogram[float64]:
		for _, p := range data.DataPoints {
			if has(p.Attributes) {
				sum += int64(p.Count)
			}
		}
	}
	return sum
}

// eventually waits until a metric has a value.
func (w *world) eventually(want int64, name string, attributes ...attribute.KeyValue) {
	w.t.Helper()
	assert.Eventually(w.t, func() bool { return w.value(name, attributes...) == want }, patience, time.Millisecond,
		"%s is to be %d", name, want)
}

// certified returns a certificate of berth.test.
func certified(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"berth.test"},
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	certificate, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
}
