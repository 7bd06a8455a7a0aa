package tcpactor_test

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

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

// The race is at the end of a turn: a message posted then must either be seen by the turn or start
// the next one. So each post comes as the turn before it ends, and it is the only one there is: no
// other goroutine could wake the mailbox by chance.
func TestNoWakeUpIsLostAtTheEndOfATurn(t *testing.T) {
	const rounds = 20_000
	handled := make(chan struct{}, 1)
	var ready atomic.Bool // what the source has
	answer := func(any) { handled <- struct{}{} }
	s := &script{user: answer, system: answer, pull: func() any {
		if ready.Swap(false) {
			return "pulled"
		}
		runtime.Gosched() // a system call that finds nothing: time for another goroutine to post
		return nil
	}}
	m := new(tcpactor.Mailbox)
	m.Init(s)
	m.RegisterHandlers(s, newPool(t))
	m.Start()
	for name, post := range map[string]func(){
		"mail":     func() { m.PostUserMessage("mail") },
		"system":   func() { m.PostSystemMessage("system") },
		"schedule": func() { ready.Store(true); m.Schedule() },
		"run":      func() { ready.Store(true); m.Run() },
		"run now":  func() { ready.Store(true); m.Schedule(); m.RunNow() },
	} {
		for round := range rounds {
			post()
			select {
			case <-handled:
			case <-time.After(patience):
				require.FailNow(t, "lost", "%s, round %d", name, round)
			}
		}
	}
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
	m.Start()
	for range posters {
		go func() {
			for range posts {
				m.PostUserMessage(nil)
				m.Run()
				m.RunNow()
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
		m.Start()
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
