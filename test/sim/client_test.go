package sim

import (
	"net"
	"sync"

	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/test/history"
)

// client is a peer with a goroutine that sends and one that reads, so that neither waits for the
// other. It does its tasks in turn. finish stops it and joins both goroutines.
type client struct {
	*history.Peer
	sends   chan []byte // nil: FIN
	reads   chan int    // 0: until the end
	working sync.WaitGroup
	ended   bool // the driver's: closed or reset
}

func newClient(peer *history.Peer) *client {
	const backlog = 4
	c := &client{Peer: peer, sends: make(chan []byte, backlog), reads: make(chan int, backlog)}
	spawn(&c.working, c.send)
	spawn(&c.working, c.read)
	return c
}

func (c *client) send() {
	failed := false
	for p, ok := await(c.sends); ok; p, ok = await(c.sends) {
		switch {
		case failed:
		case p == nil:
			failed = c.CloseWrite() != nil
		default:
			_, err := c.Write(p)
			failed = err != nil
		}
	}
}

// piece is how much a client that reads until the end reads at once. It is small, because the
// progress within such a call is not known.
const piece = 512

func (c *client) read() {
	failed := false
	for n, ok := await(c.reads); ok; n, ok = await(c.reads) {
		for again := true; again && !failed; again = n == 0 {
			b := make([]byte, max(n, piece))
			if n > 0 {
				b = b[:n]
			}
			_, err := c.Read(b)
			failed = err != nil
		}
	}
}

// tell gives a task to one of the client's goroutines, unless that one has enough tasks.
func tell[T any](tasks chan T, task T) bool {
	select {
	case tasks <- task:
		return true
	default:
		return false
	}
}

// await returns the next task, false if there are no more.
func await[T any](tasks <-chan T) (task T, ok bool) {
	defer seam.Wait().Over()
	task, ok = <-tasks
	return task, ok
}

// spawn is wg.Go, and join is wg.Wait, in the order of a scheduler.
func spawn(wg *sync.WaitGroup, f func()) {
	wg.Add(1)
	seam.Go(func() {
		defer wg.Done()
		f()
	})
}

func join(wg *sync.WaitGroup) {
	defer seam.Wait().Over()
	wg.Wait()
}

// end closes or resets, at most once.
func (c *client) end(how func() error) {
	if !c.ended {
		c.ended = true
		_ = how()
	}
}

// finish reads what is left and waits for the goroutines. The server's side has ended.
func (c *client) finish() {
	close(c.sends)
	turn := seam.Wait()
	c.reads <- 0
	turn.Over()
	close(c.reads)
	join(&c.working)
	c.end(c.Close)
}

// parter is a connection that can be cut off for a while.
type parter interface {
	Partition()
	Heal()
}

func parts(c net.Conn) (parter, bool) {
	p, ok := c.(parter)
	return p, ok
}
