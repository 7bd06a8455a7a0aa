package main

import (
	"maps"
	"slices"
	"sync"

	"github.com/go-berth/berth"
)

// channels are the channels that have subscribers.
//
// A publisher holds the lock for reading, a subscriber for writing. So a subscriber that has left
// gets nothing behind the confirmation, and the confirmation of one that enters comes first.
// Nothing waits for a client under the lock: a Group waits for no member.
type channels struct {
	mu   sync.RWMutex
	list map[string]*channel
}

// channel is two groups, as the same message has other bytes in RESP3.
type channel struct{ two, three berth.Group }

func newChannels() *channels { return &channels{list: map[string]*channel{}} }

// publish sends payload to the subscribers of a channel and returns how many there are.
//
// A subscriber that is so far behind that its write queue is full is closed, as Redis does at
// client-output-buffer-limit.
func (c *channels) publish(name, payload []byte) (subscribers int) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	ch := c.list[string(name)]
	if ch == nil {
		return 0
	}
	for _, three := range []bool{false, true} {
		group := ch.group(three)
		if group.Len() == 0 {
			continue
		}
		message := reply{three: three, b: make([]byte, 0, len(name)+len(payload)+64)}
		message.push(3)
		message.text("message")
		message.bulk(name)
		message.bulk(payload)
		delivery, _ := group.WriteOwned(message.b) // the error is that of a nil slice
		subscribers += delivery.Accepted
	}
	return subscribers
}

// subscribers returns how many a channel has.
func (c *channels) subscribers(name []byte) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	ch := c.list[string(name)]
	if ch == nil {
		return 0
	}
	return ch.two.Len() + ch.three.Len()
}

// enter calls confirm and makes the connection a subscriber, with no message between the two.
func (c *channels) enter(name string, socket berth.Socket, three bool, confirm func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := confirm(); err != nil {
		return err
	}
	ch := c.list[name]
	if ch == nil {
		ch = &channel{}
		c.list[name] = ch
	}
	if err := ch.group(three).AddWith(socket, berth.SlowClose); err != nil {
		c.forgetEmpty(name, ch)
		return err
	}
	return nil
}

// leave takes the connection out of channels.
func (c *channels) leave(names []string, socket berth.Socket) {
	if len(names) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range names {
		if ch := c.list[name]; ch != nil {
			ch.two.Remove(socket)
			ch.three.Remove(socket)
			c.forgetEmpty(name, ch)
		}
	}
}

// change is for a subscriber whose version of the protocol has changed. It calls confirm first,
// with no message between the two.
func (c *channels) change(names []string, socket berth.Socket, three bool, confirm func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := confirm(); err != nil {
		return err
	}
	for _, name := range names {
		ch := c.list[name]
		if ch == nil {
			continue
		}
		ch.group(!three).Remove(socket)
		if err := ch.group(three).AddWith(socket, berth.SlowClose); err != nil {
			return err
		}
	}
	return nil
}

func (c *channels) forgetEmpty(name string, ch *channel) {
	if ch.two.Len()+ch.three.Len() == 0 {
		delete(c.list, name)
	}
}

func (c *channel) group(three bool) *berth.Group {
	if three {
		return &c.three
	}
	return &c.two
}

// mostSubscriptions is how many channels one client may subscribe to. Redis has no limit.
const mostSubscriptions = 1 << 16

// subscribe confirms each channel and enters it.
func subscribe(s *session, args [][]byte) {
	for _, arg := range args[1:] {
		name := string(arg)
		if len(s.subscriptions) == mostSubscriptions && !s.subscribed(name) {
			s.out.err("ERR too many subscriptions")
			continue
		}
		before := len(s.subscriptions)
		if s.subscriptions == nil {
			s.subscriptions = map[string]struct{}{}
		}
		s.subscriptions[name] = struct{}{}
		s.confirm("subscribe", arg)
		if len(s.subscriptions) == before {
			continue
		}
		if before == 0 {
			s.messagesThree = s.out.three
			s.socket.SetTimeouts(berth.Timeouts{Idle: -1}) // a subscriber may wait for ever, as in Redis
		}
		if s.failed = s.enter(name); s.failed != nil {
			return
		}
	}
}

// enter sends the confirmation, with the replies in front of it, and then makes the session a
// subscriber.
func (s *session) enter(name string) error {
	return s.inOrder(func(confirm func() error) error {
		return s.server.channels.enter(name, s.socket, s.out.three, confirm)
	})
}

// changeForm sends the reply to HELLO, with the replies in front of it, and then has messages come
// in the version of the protocol that it names. In a transaction that is the reply to EXEC.
func (s *session) changeForm() error {
	s.messagesThree = s.out.three
	names := slices.Collect(maps.Keys(s.subscriptions))
	return s.inOrder(func(confirm func() error) error {
		return s.server.channels.change(names, s.socket, s.out.three, confirm)
	})
}

// inOrder has the replies so far sent and then the groups changed, with no message between the two.
// Where the client has left no room for the replies, they must be waited for without the lock, and
// a message that is published meanwhile does not come to this client in its right place.
func (s *session) inOrder(change func(confirm func() error) error) error {
	err := change(s.flushAtOnce)
	if !lacksRoom(err) {
		return err
	}
	if err := s.flush(); err != nil {
		return err
	}
	return change(func() error { return nil })
}

func unsubscribe(s *session, args [][]byte) {
	names := args[1:]
	if len(names) == 0 {
		for name := range s.subscriptions {
			names = append(names, []byte(name))
		}
		if len(names) == 0 {
			s.out.push(3)
			s.out.text("unsubscribe")
			s.out.null()
			s.out.integer(0)
			return
		}
	}
	for _, name := range names {
		s.server.channels.leave([]string{string(name)}, s.socket)
		delete(s.subscriptions, string(name))
		s.confirm("unsubscribe", name)
	}
	if len(s.subscriptions) == 0 {
		s.socket.SetTimeouts(berth.Timeouts{})
	}
}

func (s *session) confirm(what string, name []byte) {
	s.out.push(3)
	s.out.text(what)
	s.out.bulk(name)
	s.out.integer(int64(len(s.subscriptions)))
}

func (s *session) subscribed(name string) bool {
	_, found := s.subscriptions[name]
	return found
}

// publish in a transaction tells how many subscribers there are, and sends once the keyspace is
// free again.
func publish(s *session, args [][]byte) {
	if s.inExec {
		s.publications = append(s.publications, args[1:3])
		s.out.integer(int64(s.server.channels.subscribers(args[1])))
		return
	}
	s.out.integer(int64(s.server.channels.publish(args[1], args[2])))
}
