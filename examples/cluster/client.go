package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-berth/berth/session"
)

// client is one member, over as many connections as it takes. When one ends it goes to another
// gateway, with its session, the line that it has of each room, and the lines that it has said and
// that are not stored yet.
type client struct {
	name     string
	gateways []string
	events   events

	mu      sync.Mutex
	session *session.Client // nil: none yet
	rooms   map[string]string
	conn    net.Conn // nil: none now
	room    chan struct{}
}

// events are what a client tells the program, on its own goroutine, in order. nil: not told.
type events struct {
	connected func(gateway string)
	ended     func(err error) // of a connection; another follows
	stored    func(number uint64)
	line      func(room string, l line)
	members   func(room string, names []string)
}

// errLost ends a client: its session is not there any more, or another has it.
var errLost = errors.New("the session is lost")

const (
	silence  = 20 * time.Second // longer than a gateway waits for the store
	pings    = 5 * time.Second
	shortest = 20 * time.Millisecond
	longest  = time.Second
)

func newClient(name string, gateways []string, events events) *client {
	return &client{name: name, gateways: gateways, events: events, rooms: map[string]string{}, room: make(chan struct{}, 1)}
}

// join enters a room from a sequence on: "now", or a number.
func (c *client) join(room, after string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rooms[room] = after
	c.writeLocked("join " + room + " " + after)
}

func (c *client) who(room string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeLocked("who " + room)
}

// say gives a line to the client, which says it until it is stored. It waits while too many are not
// stored yet, and for the first connection.
func (c *client) say(ctx context.Context, room, text string) (number uint64, err error) {
	for {
		c.mu.Lock()
		if c.session != nil {
			message, err := c.session.Send([]byte(room + " " + text))
			if err == nil {
				c.writeLocked(fmt.Sprintf("say %d %s", message.Number, message.Data))
				c.mu.Unlock()
				return message.Number, nil
			}
			if !errors.Is(err, session.ErrLogFull) {
				c.mu.Unlock()
				return 0, err
			}
		}
		c.mu.Unlock()
		select {
		case <-c.room:
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// writeLocked writes a line if there is a connection. If it fails, the reader finds that out, and
// everything is written again on the next connection.
func (c *client) writeLocked(text string) {
	if c.conn == nil {
		return
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(pings))
	if _, err := c.conn.Write([]byte(text + "\n")); err != nil {
		_ = c.conn.Close()
	}
}

// run connects again and again, until ctx is done or the session is lost.
func (c *client) run(ctx context.Context) error {
	wait := shortest
	next := rand.IntN(len(c.gateways))
	for ; ; next++ {
		served, err := c.connect(ctx, c.gateways[next%len(c.gateways)])
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errLost):
			return err
		case served:
			wait = shortest
		}
		if c.events.ended != nil {
			c.events.ended(err)
		}
		select {
		case <-time.After(wait/2 + rand.N(wait)):
		case <-ctx.Done():
			return ctx.Err()
		}
		wait = min(2*wait, longest)
	}
}

// connect is one connection, from its beginning to its end.
func (c *client) connect(ctx context.Context, addr string) (served bool, err error) {
	dialer := net.Dialer{Timeout: longest}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	defer conn.Close()
	input := bufio.NewScanner(conn)
	if err := c.greet(conn, input); err != nil {
		return false, err
	}
	defer func() {
		c.mu.Lock()
		c.conn = nil
		c.mu.Unlock()
	}()
	if c.events.connected != nil {
		c.events.connected(addr)
	}
	ended := make(chan struct{})
	var pinger sync.WaitGroup
	pinger.Go(func() { c.ping(ended) })
	defer pinger.Wait()
	defer close(ended)
	for {
		text, err := read(conn, input)
		if err != nil {
			return true, err
		}
		if err := c.take(text); err != nil {
			return true, err
		}
	}
}

// greet opens or resumes the session, and says everything that the gateway must know.
func (c *client) greet(conn net.Conn, input *bufio.Scanner) error {
	hello := "open " + c.name
	if c.session != nil { // only this goroutine changes it
		hello = fmt.Sprintf("resume %s %d %s", c.session.Token, c.session.Epoch, c.name)
	}
	_ = conn.SetWriteDeadline(time.Now().Add(pings))
	if _, err := fmt.Fprintln(conn, hello); err != nil {
		return err
	}
	text, err := read(conn, input)
	if err != nil {
		return err
	}
	words := strings.Fields(text)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case len(words) == 3 && words[0] == "welcome" && c.session == nil:
		epoch, err := strconv.ParseUint(words[2], 10, 64)
		if err != nil {
			return err
		}
		c.session = session.NewClient(session.Welcome{Token: words[1], Epoch: epoch}, session.Limits{})
	case len(words) == 3 && words[0] == "resumed" && c.session != nil:
		epoch, err := strconv.ParseUint(words[1], 10, 64)
		if err != nil {
			return err
		}
		handled, err := strconv.ParseUint(words[2], 10, 64)
		if err != nil {
			return err
		}
		before := c.session.Log.Acked
		if _, _, err := c.session.Resumed(session.Resumed{Epoch: epoch, Recovered: true, Handled: handled}); err != nil {
			return fmt.Errorf("%w: %w", errLost, err)
		}
		for number := before + 1; number <= handled; number++ {
			c.storedLocked(number)
		}
	case strings.HasPrefix(text, "refused resume "+session.ErrToken.Error()), strings.HasPrefix(text, "refused resume "+session.ErrEpoch.Error()):
		return fmt.Errorf("%w: %s", errLost, text)
	default:
		return fmt.Errorf("the gateway answers %q", text)
	}
	c.conn = conn
	for room, after := range c.rooms {
		c.writeLocked("join " + room + " " + after)
	}
	for _, message := range c.session.Log.Kept {
		c.writeLocked(fmt.Sprintf("say %d %s", message.Number, message.Data))
	}
	return nil
}

func (c *client) storedLocked(number uint64) {
	if c.events.stored != nil {
		c.events.stored(number)
	}
	select {
	case c.room <- struct{}{}:
	default:
	}
}

func (c *client) ping(ended <-chan struct{}) {
	ticker := time.NewTicker(pings)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			c.mu.Lock()
			c.writeLocked("ping")
			c.mu.Unlock()
		case <-ended:
			return
		}
	}
}

func read(conn net.Conn, input *bufio.Scanner) (string, error) {
	_ = conn.SetReadDeadline(time.Now().Add(silence))
	if input.Scan() {
		return input.Text(), nil
	}
	if err := input.Err(); err != nil {
		return "", err
	}
	return "", errors.New("the gateway has closed")
}

// take takes one line of the gateway's. An error ends the connection: the next one begins with what
// is known now.
func (c *client) take(text string) error {
	verb, rest, _ := strings.Cut(text, " ")
	words := strings.SplitN(rest, " ", 4)
	switch {
	case verb == "pong":
	case verb == "joined" && len(words) == 2:
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.rooms[words[0]] == "now" {
			c.rooms[words[0]] = words[1]
		}
	case verb == "line" && len(words) == 4:
		sequence, err := strconv.ParseUint(words[1], 10, 64)
		if err != nil {
			return err
		}
		c.mu.Lock()
		c.rooms[words[0]] = words[1]
		c.mu.Unlock()
		if c.events.line != nil {
			c.events.line(words[0], line{sequence: sequence, name: words[2], text: words[3]})
		}
	case verb == "stored":
		number, err := strconv.ParseUint(rest, 10, 64)
		if err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if number <= c.session.Log.Acked { // said twice: also on the connection before
			return nil
		}
		if err := c.session.Acknowledge(number); err != nil {
			return err
		}
		c.storedLocked(number)
	case verb == "members":
		if c.events.members != nil {
			names := strings.Fields(rest)
			c.events.members(names[0], names[1:])
		}
	default: // refused: another gateway may have what this one has not
		return errors.New(text)
	}
	return nil
}
