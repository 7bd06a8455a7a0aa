package load

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// add plans a connection; it is dialled when fewer than maxDialing are on their way.
func (l *loop) add(number int, role role, stream Stream, size int) {
	c := &conn{
		fd: -1, number: number, index: len(l.conns),
		role: role, stream: stream, size: uint64(size), starts: newRing(role.depth()),
	}
	l.conns = append(l.conns, c)
	l.wanted = append(l.wanted, c)
	if _, ok := role.(ticker); ok {
		l.ticking = append(l.ticking, c)
	}
}

func (l *loop) dialWanted() error {
	for len(l.wanted) > 0 && l.dialing < maxDialing {
		c := l.wanted[0]
		l.wanted = l.wanted[1:]
		if err := l.dial(c); err != nil {
			return fmt.Errorf("connection %d: %w", c.number, err)
		}
	}
	return nil
}

// dial registers the socket once, edge-triggered, for everything; nothing is ever modified.
func (l *loop) dial(c *conn) error {
	fd, err := dial(l.to, c.number)
	if err != nil {
		return err
	}
	event := unix.EpollEvent{
		Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET&0xffffffff,
		Fd:     int32(c.index),
	}
	if err := unix.EpollCtl(l.poll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		unix.Close(fd)
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	c.fd = fd
	l.dialing++
	return nil
}

// connected is called for a connection's first event.
func (l *loop) connected(c *conn) error {
	l.dialing--
	errno, err := unix.GetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && errno != 0 {
		err = unix.Errno(errno)
	}
	if err != nil {
		return fmt.Errorf("connection %d: no connection to %s: %w", c.number, l.to, err)
	}
	c.open = true
	l.opened++
	if l.stage != running {
		return nil
	}
	return c.role.start(l, c, l.clock())
}

// redial opens a new connection in the place of one that hung up, with its positions at zero
// again and a number of its own, so that a reply to the one before cannot pass for its own.
func (l *loop) redial(c *conn) error {
	c.number += len(l.conns) * l.loops
	c.stream = NewStream(c.number)
	c.since = l.clock()
	return l.dial(c)
}

// hangUp closes the socket; closing removes it from the poll set.
func (l *loop) hangUp(c *conn) {
	if c.fd < 0 {
		return
	}
	unix.Close(c.fd)
	c.fd, c.open, c.full = -1, false, false
	c.queued, c.sent, c.received = 0, 0, 0
}
