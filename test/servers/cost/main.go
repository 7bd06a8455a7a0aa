// Command cost compares the servers of package servers on the bridge with the same servers on
// package net: wall time and processor time for each exchange.
//
//	cd test/servers && go run ./cost
//
// Each server runs in a process of its own, so that its processor time is that of the server alone,
// and so that no client is served on the goroutines' own processor without a wake-up. All kinds of
// listener take turns in short rounds. A figure is the median of the rounds' ratios: each round is
// compared with package net's round beside it. With -together server and clients share a process.
package main

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-berth/berth/test/servers"
)

func main() {
	if kind, name, asked := strings.Cut(os.Getenv(serves), ":"); asked {
		if err := serve(kind, name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 9, "rounds of each kind of listener")
	flag.DurationVar(&o.round, "round", 150*time.Millisecond, "how long a round lasts")
	flag.IntVar(&o.clients, "clients", 1, "clients at the same time")
	flag.IntVar(&o.size, "size", 64, "bytes of a payload")
	flag.StringVar(&o.only, "only", "", "measure the servers whose name contains this")
	flag.BoolVar(&o.together, "together", false, "server and clients in one process")
	flag.Parse()
	if err := o.run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	rounds, clients, size int
	round                 time.Duration
	only                  string
	together              bool
}

func (o options) run(out io.Writer) error {
	where := "each server in a process of its own; CPU is the server's"
	if o.together {
		where = "server and clients in one process; CPU is of both"
	}
	p := func(format string, values ...any) { _, _ = fmt.Fprintf(out, format+"\n", values...) }
	p("%s/%s, %s, %d processors; %s", runtime.GOOS, runtime.GOARCH, runtime.Version(), runtime.NumCPU(), where)
	p("%d clients, %d bytes, %d rounds of %v for each listener, medians\n", o.clients, o.size, o.rounds, o.round)
	p("| | net: wall, CPU (us) | poll: wall | CPU | stream: wall | CPU |")
	p("|---|--:|--:|--:|--:|--:|")
	load := newLoad()
	for _, c := range servers.All() {
		if strings.Contains(c.Name, o.only) {
			row, err := o.compare(c)
			if err != nil {
				return fmt.Errorf("%s: %w", c.Name, err)
			}
			p("%s", row)
		}
	}
	p("\n%s", load.since())
	return nil
}

// contender is one kind of listener with the server on it.
type contender struct {
	remote
	clients []servers.Client
	cost    []cost // of the rounds
}

// cost is that of one exchange, in microseconds.
type cost struct{ wall, cpu float64 }

func (o options) compare(c servers.Case) (row string, err error) {
	var all []*contender
	defer func() {
		for _, one := range all {
			err = errors.Join(err, one.end())
		}
	}()
	for _, kind := range servers.Kinds() {
		one := &contender{}
		if one.remote, err = o.start(kind, c); err != nil {
			return "", err
		}
		all = append(all, one)
		for range o.clients {
			client, err := c.Dial(one.addr(), one.certificate())
			if err != nil {
				return "", err
			}
			one.clients = append(one.clients, client)
		}
	}
	for round := range o.rounds + 1 {
		for _, one := range all {
			cost, err := o.measure(one)
			if err != nil {
				return "", err
			}
			if round > 0 { // the first warms up
				one.cost = append(one.cost, cost)
			}
		}
	}
	plain := all[0].cost
	row = fmt.Sprintf("| %s | %.0f, %.0f |", c.Name,
		median(plain, plain, func(a, _ cost) float64 { return a.wall }),
		median(plain, plain, func(a, _ cost) float64 { return a.cpu }))
	for _, one := range all[1:] {
		row += fmt.Sprintf(" %.2f | %.2f |",
			median(one.cost, plain, func(a, b cost) float64 { return a.wall / b.wall }),
			median(one.cost, plain, func(a, b cost) float64 { return a.cpu / b.cpu }))
	}
	return row, nil
}

func (one *contender) end() (err error) {
	for _, c := range one.clients {
		err = errors.Join(err, c.Close())
	}
	return errors.Join(err, one.remote.end())
}

// measure has all clients exchange for a round.
func (o options) measure(one *contender) (cost, error) {
	before, err := one.used()
	if err != nil {
		return cost{}, err
	}
	var exchanges atomic.Int64
	var all sync.WaitGroup
	failures := make(chan error, len(one.clients))
	payload := servers.Payload(o.size)
	began := time.Now()
	for _, c := range one.clients {
		all.Go(func() {
			for time.Since(began) < o.round {
				if err := c.Exchange(payload); err != nil {
					failures <- err
					return
				}
				exchanges.Add(1)
			}
		})
	}
	all.Wait()
	wall := time.Since(began)
	after, err := one.used()
	select {
	case failure := <-failures:
		err = errors.Join(failure, err)
	default:
	}
	n := float64(exchanges.Load())
	return cost{float64(wall.Microseconds()) / n, float64((after - before).Microseconds()) / n}, err
}

// remote is a server that runs.
type remote interface {
	addr() string
	certificate() *x509.Certificate
	used() (time.Duration, error) // processor time so far
	end() error
}
