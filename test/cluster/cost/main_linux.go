package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-berth/berth/test/cluster/nodes"
)

// patience is how long anything may take that is not a load.
const patience = 30 * time.Second

// options of a run.
type options struct {
	connections, owners, window, size, rounds int
	lasts                                     time.Duration
}

var presets = map[string]options{
	"short": {connections: 100, owners: 4, window: 8, size: 64, rounds: 3, lasts: time.Second},
	"full":  {connections: 1000, owners: 4, window: 8, size: 64, rounds: 7, lasts: 5 * time.Second},
}

func main() {
	if nodes.Role() != "" {
		os.Exit(beNode())
	}
	preset := flag.String("preset", "short", "short: 100 connections, 20 s; full: 1,000 connections, 4 minutes")
	flag.Parse()
	o, known := presets[*preset]
	if !known || flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "cost: -preset must be short or full, and there are no other arguments")
		os.Exit(2)
	}
	results, err := run(o)
	if err == nil {
		err = write(os.Stdout, o, results)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		os.Exit(1)
	}
}

// beNode is a node's process, until the one that has started it ends. It returns the exit code.
func beNode() int {
	system, remote := nodes.NewSystem()
	defer remote.Shutdown(false)
	if err := nodes.Serve(&Node{system: system}); err != nil {
		fmt.Fprintln(os.Stderr, "cost:", err)
		return 1
	}
	return 0
}

// row is a load, and the connections that it is put on.
type row struct {
	name   string
	server int  // 0: the handler answers; 1: the owner of the same node; 2: that of another
	echo   bool // or deliver
	native bool
	base   bool // the rows of the same load are compared with this one
}

var rows = []row{
	{name: "deliver, same node, native", server: sameNode, native: true},
	{name: "deliver, same node, wire", server: sameNode, base: true},
	{name: "deliver, another node, wire", server: otherNode},
	{name: "echo, handler", server: noOwner, echo: true},
	{name: "echo, owner on the same node", server: sameNode, echo: true, base: true},
	{name: "echo, owner on another node", server: otherNode, echo: true},
}

// The servers of the gateway.
const (
	noOwner = iota
	sameNode
	otherNode
)

// result is one run of a row: messages, and the cost of one.
type result struct {
	rate                               float64 // messages a second
	gateway, gatewayUser, far, farUser float64 // us for a message
	p50, p99                           time.Duration
}

func (r result) total() float64     { return r.gateway + r.far }
func (r result) perSecond() float64 { return r.rate }

// cluster is a gateway, and a node whose actors own connections of the gateway.
type cluster struct {
	options
	gateway, far *nodes.Process
	addrs        [3]string
}

// run returns the results of each row, a result for each round.
func run(o options) (results [][]result, err error) {
	c := &cluster{options: o}
	if c.gateway, err = nodes.Start("node"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.gateway.Stop()) }()
	if c.far, err = nodes.Start("node"); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.far.Stop()) }()
	var near, far []string
	if err := errors.Join(
		c.gateway.Call("Node.Owners", o.owners, &near), c.far.Call("Node.Owners", o.owners, &far)); err != nil {
		return nil, err
	}
	for server, owners := range [][]string{nil, near, far} {
		if err := c.gateway.Call("Node.Listen", owners, &c.addrs[server]); err != nil {
			return nil, err
		}
	}
	results = make([][]result, len(rows))
	for round := range o.rounds + 1 { // the first warms up
		for i := range rows {
			at := (i + round) % len(rows) // no row is always the first
			result, err := c.measure(rows[at])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", rows[at].name, err)
			}
			if round > 0 {
				results[at] = append(results[at], result)
			}
		}
	}
	return results, nil
}

// measure runs a row once, on connections of its own.
func (c *cluster) measure(r row) (result, error) {
	conns, err := dial(c.addrs[r.server], c.connections)
	defer closeAll(conns)
	if err != nil {
		return result{}, err
	}
	ownersNode := map[int]*nodes.Process{sameNode: c.gateway, otherNode: c.far}[r.server]
	if ownersNode != nil {
		if err := ownersNode.Call("Node.Owned", int64(c.connections), nil); err != nil {
			return result{}, err
		}
	}
	load := func() (uint64, []time.Duration, error) { return echo(conns, c.size, c.lasts) }
	if !r.echo {
		load = func() (messages uint64, _ []time.Duration, err error) {
			err = ownersNode.Call("Node.Deliver", Deliver{Native: r.native, Window: c.window, Size: c.size, For: c.lasts}, &messages)
			return messages, nil, err
		}
		for _, conn := range conns {
			go func() { _, _ = io.Copy(io.Discard, conn) }() // until it is closed
		}
	}
	gateway, far, err := c.times()
	if err != nil {
		return result{}, err
	}
	began := time.Now()
	messages, latencies, err := load()
	took := time.Since(began)
	if err != nil {
		return result{}, err
	}
	gatewayThen, farThen, err := c.times()
	if err != nil {
		return result{}, err
	}
	if messages == 0 {
		return result{}, errors.New("no message was answered")
	}
	each := func(before, after time.Duration) float64 {
		return float64((after - before).Nanoseconds()) / 1000 / float64(messages)
	}
	measured := result{
		rate:    float64(messages) / took.Seconds(),
		gateway: each(gateway.Total(), gatewayThen.Total()), gatewayUser: each(gateway.User, gatewayThen.User),
		far: each(far.Total(), farThen.Total()), farUser: each(far.User, farThen.User),
	}
	if len(latencies) > 0 {
		slices.Sort(latencies)
		measured.p50, measured.p99 = latencies[len(latencies)/2], latencies[len(latencies)*99/100]
	}
	closeAll(conns)
	if ownersNode != nil {
		return measured, ownersNode.Call("Node.Owned", int64(0), nil)
	}
	return measured, nil
}

func (c *cluster) times() (gateway, far nodes.Usage, err error) {
	err = errors.Join(c.gateway.Call("Meter.Time", struct{}{}, &gateway), c.far.Call("Meter.Time", struct{}{}, &far))
	return gateway, far, err
}

func dial(addr string, count int) (conns []net.Conn, err error) {
	for range count {
		conn, err := net.DialTimeout("tcp", addr, patience)
		if err != nil {
			return conns, err
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

func closeAll(conns []net.Conn) {
	for _, conn := range conns {
		_ = conn.Close() // it may be closed
	}
}

// echo has each client send a message and wait for its echo, for a time. It returns the number of
// echoes and how long each took.
func echo(conns []net.Conn, size int, lasts time.Duration) (messages uint64, latencies []time.Duration, err error) {
	var mu sync.Mutex
	var clients sync.WaitGroup
	end := time.Now().Add(lasts)
	for i, conn := range conns {
		clients.Go(func() {
			mine, failed := echoes(conn, byte(i), size, end)
			mu.Lock()
			defer mu.Unlock()
			messages += uint64(len(mine))
			latencies = append(latencies, mine...)
			err = errors.Join(err, failed)
		})
	}
	clients.Wait()
	return messages, latencies, err
}

func echoes(conn net.Conn, seed byte, size int, end time.Time) (latencies []time.Duration, err error) {
	sent, got := make([]byte, size), make([]byte, size)
	for began := time.Now(); began.Before(end); {
		for i := range sent {
			sent[i] = seed + byte(i) + byte(len(latencies))
		}
		if err := conn.SetDeadline(began.Add(patience)); err != nil {
			return nil, err
		}
		if _, err := conn.Write(sent); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(conn, got); err != nil {
			return nil, err
		}
		if !bytes.Equal(sent, got) {
			return nil, errors.New("the echo is another message")
		}
		now := time.Now()
		latencies, began = append(latencies, now.Sub(began)), now
	}
	return latencies, nil
}

// median is that of one figure over the rounds.
func median(of []result, figure func(result) float64) float64 {
	all := make([]float64, len(of))
	for i, one := range of {
		all[i] = figure(one)
	}
	slices.Sort(all)
	return all[len(all)/2]
}

// write prints a table: each figure is the median of the rounds.
func write(out io.Writer, o options, results [][]result) error {
	var base []result
	text := &strings.Builder{}
	fmt.Fprintf(text, "%s, %d processors; %d connections, messages of %d bytes, %d owners, %d writes without an answer for each connection; medians of %d rounds of %v.\n\n",
		runtime.Version(), runtime.NumCPU(), o.connections, o.size, o.owners, o.window, o.rounds, o.lasts)
	fmt.Fprint(text, "| Load | Messages/s | ratio | CPU, us each | ratio | gateway: all | user | other node: all | user | p50 | p99 |\n",
		"|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n")
	for i, r := range rows {
		for at := range rows { // the base may follow
			if rows[at].base && rows[at].echo == r.echo {
				base = results[at]
			}
		}
		of := results[i]
		latency := "| - | - |"
		if r.echo {
			latency = fmt.Sprintf("| %.2f ms | %.2f ms |", median(of, func(r result) float64 { return r.p50.Seconds() * 1000 }),
				median(of, func(r result) float64 { return r.p99.Seconds() * 1000 }))
		}
		fmt.Fprintf(text, "| %s | %.0f | %.2f | %.1f | %.2f | %.1f | %.1f | %.1f | %.1f %s\n", r.name,
			median(of, result.perSecond), median(of, result.perSecond)/median(base, result.perSecond),
			median(of, result.total), median(of, result.total)/median(base, result.total),
			median(of, func(r result) float64 { return r.gateway }), median(of, func(r result) float64 { return r.gatewayUser }),
			median(of, func(r result) float64 { return r.far }), median(of, func(r result) float64 { return r.farUser }), latency)
	}
	_, err := io.WriteString(out, text.String())
	return err
}
