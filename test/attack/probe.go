//go:build linux

package attack

import (
	"fmt"
	"net"
	"slices"
	"time"
)

// Latency is how long the answers to a good client took.
type Latency struct{ Median, P99, Worst time.Duration }

// String gives milliseconds.
func (l Latency) String() string {
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("median %.2f ms, p99 %.2f ms, worst %.2f ms", ms(l.Median), ms(l.P99), ms(l.Worst))
}

// probe is a good client: it sends a short line every two milliseconds.
type probe struct {
	target Target
	conn   net.Conn
}

func newProbe(t Target) (*probe, error) {
	conn, err := net.DialTimeout("tcp", t.Addr, Patience)
	if err != nil {
		return nil, fmt.Errorf("the good client is not let in: %w", err)
	}
	return &probe{t, conn}, nil
}

const askEvery = 2 * time.Millisecond

// watch sends lines for the given time.
func (p *probe) watch(lasting time.Duration) (Latency, error) {
	var took []time.Duration
	ticker := time.NewTicker(askEvery)
	defer ticker.Stop()
	for end := time.Now().Add(lasting); time.Now().Before(end); <-ticker.C {
		began := time.Now()
		_ = p.conn.SetDeadline(began.Add(Patience))
		if err := p.target.exchange(p.conn, "are you there"); err != nil {
			return Latency{}, fmt.Errorf("the good client is not answered: %w", err)
		}
		took = append(took, time.Since(began))
	}
	return summary(took), nil
}

// stay sends a line now and then, so that the server has no reason to disconnect it, until the
// returned function is called.
func (p *probe) stay() (enough func() error) {
	stop, done := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			if _, err := p.watch(askEvery); err != nil {
				done <- err
				return
			}
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() error { close(stop); return <-done }
}

func summary(took []time.Duration) Latency {
	slices.Sort(took)
	return Latency{took[len(took)/2], took[len(took)*99/100], took[len(took)-1]}
}

func (p *probe) close() { _ = p.conn.Close() }
