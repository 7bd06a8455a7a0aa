package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-berth/berth/sessionnats"
)

// crowd is clients that chat, and the record of what they say and get.
type crowd struct {
	record *record
	stop   context.CancelFunc
	quiet  context.CancelFunc
	all    sync.WaitGroup
	saying sync.WaitGroup

	mu      sync.Mutex
	clients []*client
	ended   []error // of clients that have lost their sessions
	joined  chan struct{}
}

// startCrowd starts clients in rooms, each with the same number of members, and waits until all are
// in their rooms. Then each says a line every pause, until hush.
func startCrowd(ctx context.Context, clients, rooms int, pause time.Duration, gateways []string) (*crowd, error) {
	cr := &crowd{record: newRecord(), joined: make(chan struct{}, clients)}
	running, stop := context.WithCancel(ctx)
	saying, quiet := context.WithCancel(running)
	cr.stop, cr.quiet = stop, quiet
	for i := range clients {
		name, room := fmt.Sprintf("c%d", i), fmt.Sprintf("room%d", i%rooms)
		cr.record.member(room, name)
		var once sync.Once
		c := newClient(name, gateways, events{
			connected: func(string) { once.Do(func() { cr.joined <- struct{}{} }) },
			stored:    func(number uint64) { cr.record.stored(name, number) },
			line:      func(room string, l line) { cr.record.hears(name, room, l) },
		})
		c.join(room, "0") // with the room's first line
		cr.clients = append(cr.clients, c)
		cr.all.Go(func() {
			if err := c.run(running); !errors.Is(err, context.Canceled) {
				cr.mu.Lock()
				defer cr.mu.Unlock()
				cr.ended = append(cr.ended, fmt.Errorf("%s: %w", name, err))
			}
		})
	}
	for range clients {
		select {
		case <-cr.joined:
		case <-ctx.Done():
			cr.close()
			return nil, fmt.Errorf("the clients do not come in: %w", context.Cause(ctx))
		}
	}
	for i, c := range cr.clients {
		name, room := c.name, fmt.Sprintf("room%d", i%rooms)
		cr.saying.Go(func() {
			select { // not all at once
			case <-time.After(pause * time.Duration(i) / time.Duration(clients)):
			case <-saying.Done():
				return
			}
			ticker := time.NewTicker(pause)
			defer ticker.Stop()
			for n := 1; ; n++ {
				text := fmt.Sprintf("line %d", n)
				cr.record.saying(name, room, text)
				if _, err := c.say(running, room, text); err != nil {
					return
				}
				select {
				case <-ticker.C:
				case <-saying.Done():
					return
				}
			}
		})
	}
	return cr, nil
}

// hush ends the saying, and waits until every line is stored and has reached every member.
func (cr *crowd) hush(ctx context.Context) error {
	cr.quiet()
	cr.saying.Wait()
	for {
		unstored, missing := cr.record.open()
		if unstored == 0 && missing == 0 {
			return nil
		}
		cr.mu.Lock()
		err := errors.Join(cr.ended...)
		cr.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d lines are not stored, %d deliveries are missing: %w", unstored, missing, context.Cause(ctx))
		}
	}
}

// lives reports whether lines that were said since a moment are stored, of so many senders.
func (cr *crowd) lives(since time.Duration, senders int) bool {
	cr.record.mu.Lock()
	defer cr.record.mu.Unlock()
	n := 0
	for _, said := range cr.record.said {
		for i := len(said) - 1; i >= 0 && said[i].said >= since; i-- {
			if said[i].stored {
				n++
				break
			}
		}
	}
	return n >= senders
}

func (cr *crowd) close() {
	cr.stop()
	cr.saying.Wait()
	cr.all.Wait()
}

// show is a cluster in one process.
func show(ctx context.Context, stay bool, stdout io.Writer) (err error) {
	began := time.Now()
	say := func(format string, a ...any) {
		fmt.Fprintf(stdout, "%6.2f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, a...))
	}
	limited, cancel := context.WithTimeoutCause(ctx, 2*time.Minute, errors.New("it takes longer than 2 minutes"))
	defer cancel()
	dir, err := os.MkdirTemp("", "cluster")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	nodes, err := sessionnats.StartNodes(limited, 3, dir)
	if err != nil {
		return err
	}
	var urls, addrs []string
	for _, node := range nodes {
		urls = append(urls, node.URL())
	}
	gateways := make([]*gateway, 3)
	defer func() {
		for _, g := range gateways {
			if g != nil {
				g.close()
			}
		}
		for _, node := range nodes {
			node.Close()
		}
	}()
	if addrs, err = sessionnats.FreeAddrs(len(gateways)); err != nil {
		return err
	}
	for i := range gateways {
		if gateways[i], err = startGateway(limited, addrs[i], urls); err != nil {
			return err
		}
	}
	say("three nodes of the store: %s", strings.Join(urls, " "))
	say("three gateways: %s", strings.Join(addrs, " "))

	crowd, err := startCrowd(limited, 12, 2, 50*time.Millisecond, addrs)
	if err != nil {
		return err
	}
	defer crowd.close()
	say("twelve clients chat in two rooms, a line every 50 ms each")
	settle := func(what string, since time.Time) error {
		from := since.Sub(crowd.record.began)
		for !crowd.lives(from, 12) {
			select {
			case <-time.After(time.Millisecond):
			case <-limited.Done():
				return context.Cause(limited)
			}
		}
		say("%s; no line waited longer for its acknowledgement than %v", what, crowd.record.stall(from).Round(time.Millisecond))
		return nil
	}
	for i := range gateways {
		ended := time.Now()
		gateways[i].close()
		if err := settle("gateway "+addrs[i]+" has ended, with its connections", ended); err != nil {
			return err
		}
		if gateways[i], err = startGateway(limited, addrs[i], urls); err != nil {
			return err
		}
	}
	for i := range nodes {
		ended := time.Now()
		nodes[i].Close()
		if err := settle("node "+nodes[i].Name()+" has ended", ended); err != nil {
			return err
		}
		if nodes[i], err = nodes[i].Restart(limited); err != nil {
			return err
		}
		for current := i == len(nodes)-1; !current; { // one node may be missing, not two
			if current, err = gateways[0].lines.Current(limited); err != nil {
				return err
			}
		}
	}
	if err := crowd.hush(limited); err != nil {
		return err
	}
	v := crowd.record.check()
	say("%d lines said and acknowledged: %d, deliveries: %d, lost: %d, twice: %d", v.lines, v.stored, v.deliveries, v.lost, v.twice)
	if len(v.faults) > 0 {
		return fmt.Errorf("cluster: the record is not right: %s", strings.Join(v.faults, "; "))
	}
	if !stay {
		return nil
	}
	say("it serves on: cluster client -name NAME -room lobby -gateways %s", strings.Join(addrs, ","))
	<-ctx.Done()
	return nil
}
