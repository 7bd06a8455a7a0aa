package otelberth_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.uber.org/goleak"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/otelberth"
)

// clientOf is the environment variable that makes this program a client: of the server at that
// address.
const clientOf = "BERTH_COST_SERVER"

func TestMain(m *testing.M) {
	if addr := os.Getenv(clientOf); addr != "" {
		if err := client(addr); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const (
	costClients  = 16
	costMessages = 4000 // of each client
)

// client sends its messages on several connections and waits for each answer.
func client(addr string) error {
	var joining sync.WaitGroup
	failed := make(chan error, costClients)
	for range costClients {
		joining.Go(func() {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				failed <- err
				return
			}
			defer func() { _ = conn.Close() }()
			message, answer := bytes.Repeat([]byte("x"), 64), make([]byte, 64)
			for range costMessages {
				if _, err = conn.Write(message); err == nil {
					_, err = io.ReadFull(conn, answer)
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	joining.Wait()
	close(failed)
	return <-failed
}

// BenchmarkCost compares the processor time that an echo server takes for a message, with and
// without metrics, events and a clock around the handler. The clients are another process. Rounds
// alternate, so that both sides see the same machine; the medians of the rounds are compared.
func BenchmarkCost(b *testing.B) {
	echo := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		_, err := socket.Forward(data)
		return err
	})
	plain, err := berth.Listen("127.0.0.1:0", echo, berth.Options{})
	require.NoError(b, err)
	defer func() { _ = plain.Close() }()

	reader := metric.NewManualReader()
	metrics, err := otelberth.New(metric.NewMeterProvider(metric.WithReader(reader)))
	require.NoError(b, err)
	system := berth.NewSystem()
	observed, err := berth.ListenIn(system.Root, "127.0.0.1:0", metrics.Handler(echo), berth.Options{})
	require.NoError(b, err)
	defer func() { _ = observed.Close() }()
	stop, err := metrics.Observe(observed)
	require.NoError(b, err)
	defer func() { _ = stop() }()

	round := func(addr string) float64 {
		command := exec.Command(os.Args[0])
		command.Env = append(os.Environ(), clientOf+"="+addr)
		before := processorTime(b)
		output, err := command.CombinedOutput()
		require.NoError(b, err, "%s", output)
		return float64(processorTime(b)-before) / (costClients * costMessages)
	}
	round(plain.Addr().String())
	round(observed.Addr().String())
	var without, with, ratios []float64
	for i := 0; b.Loop(); i++ {
		addrs := []string{plain.Addr().String(), observed.Addr().String()}
		first := round(addrs[i%2])
		second := round(addrs[1-i%2])
		if i%2 == 1 {
			first, second = second, first
		}
		without, with, ratios = append(without, first), append(with, second), append(ratios, second/first)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(without), "plain-ns/message")
	b.ReportMetric(median(with), "observed-ns/message")
	cost := 100 * (median(ratios) - 1)
	b.ReportMetric(cost, "cost-%")
	b.Log(strconv.Itoa(len(ratios)), "pairs; cost of each in percent:", percents(ratios))
}

func percents(ratios []float64) (all []string) {
	for _, r := range ratios {
		all = append(all, strconv.FormatFloat(100*(r-1), 'f', 1, 64))
	}
	return all
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// processorTime returns what this process has used so far, in all threads. That of the clients
// does not count.
func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
