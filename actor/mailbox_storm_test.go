package tcpactor_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
)

func exit() { runtime.Goexit() }

// newPool returns a pool that the test closes and joins.
func newPool(t *testing.T) *tcpactor.Pool {
	pool := tcpactor.NewPool()
	t.Cleanup(func() {
		pool.Close()
		pool.Wait()
	})
	return pool
}

// The dangerous moment is the end of a turn: whoever posts then must either be seen by it or start the next one. So every
// post here is the only one there is, and comes as the turn before it ends.
func TestNoWakeUpIsLostAtTheEndOfATurn(t *testing.T) {
	const rounds, posters = 5000, 4
	var handled [posters]chan struct{}
	for i := range handled {
		handled[i] = make(chan struct{}, 1)
	}
	ready := make(chan int, posters) // what the source has
	answer := func(message any) { handled[message.(int)] <- struct{}{} }
	s := &script{user: answer, system: answer, pull: func() any {
		select {
		case i := <-ready:
			return i
		default:
			return nil
		}
	}}
	m := new(tcpactor.Mailbox)
	m.Init(s)
	m.RegisterHandlers(s, newPool(t))

	ways := [posters]func(i int){
		func(i int) { m.PostUserMessage(i) },
		func(i int) { m.PostSystemMessage(i) },
		func(i int) { ready <- i; m.Schedule() },
		func(i int) { ready <- i; m.Run() },
	}
	var posting sync.WaitGroup
	for i, post := range ways {
		posting.Go(func() {
			for range rounds {
				post(i)
				<-handled[i] // a lost wake-up stays here
			}
		})
	}
	done := make(chan struct{})
	go func() {
		posting.Wait()
		close(done)
	}()
	receive(t, done)
}

func TestTurnsOfOneMailboxNeverOverlap(t *testing.T) {
	const posters, posts = 4, 5000
	inside, handled := 0, 0 // without a lock: the race detector looks as well
	all := make(chan struct{})
	s := &script{user: func(any) {
		inside++
		assert.Equal(t, 1, inside)
		inside--
		if handled++; handled == posters*posts {
			close(all)
		}
	}}
	m := new(tcpactor.Mailbox)
	m.Init(s)
	m.RegisterHandlers(s, newPool(t))
	for range posters {
		go func() {
			for range posts {
				m.PostUserMessage(nil)
				m.Run()
			}
		}()
	}
	receive(t, all)
}

type letter struct{ sender, number int }

// The stock mailbox lost 2,319 of 40,000 messages here.
func TestEveryMessageIsHandledOrDroppedExactlyOnceWhileTheMailboxCloses(t *testing.T) {
	const senders, each = 8, 5000
	for _, closeAfter := range []int{1, 1000, 20000} {
		var seen [senders][each]atomic.Int32
		var last [senders]int // handled so far by sender: their order holds
		var handled, dropped atomic.Int64
		count := func(message any, n *atomic.Int64) letter {
			l := message.(letter)
			seen[l.sender][l.number].Add(1)
			n.Add(1)
			return l
		}
		m := new(tcpactor.Mailbox)
		closed := make(chan struct{})
		s := &script{
			user: func(message any) {
				l := count(message, &handled)
				assert.Equal(t, last[l.sender], l.number)
				last[l.sender]++
				if handled.Load() == int64(closeAfter) {
					m.Close() // on the actor's turn, as an actor's Stopped does
					close(closed)
				}
			},
			dropped: func(message any) { count(message, &dropped) },
		}
		m.Init(s)
		m.RegisterHandlers(s, newPool(t))
		var sending sync.WaitGroup
		for sender := range senders {
			sending.Go(func() {
				for number := range each {
					m.PostUserMessage(letter{sender, number})
				}
			})
		}
		sending.Wait()
		receive(t, closed)
		require.EqualValues(t, closeAfter, handled.Load(), "nothing is handled after Close")
		require.EqualValues(t, senders*each, handled.Load()+dropped.Load())
		for sender := range seen {
			for number := range seen[sender] {
				require.EqualValues(t, 1, seen[sender][number].Load(), "message %d of %d", number, sender)
			}
		}
	}
}
