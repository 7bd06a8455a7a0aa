package connection

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth/protocol"
)

func TestAHookIsCalledOnceWhenTheEndBegins(t *testing.T) {
	for name, end := range map[string]func(c *Connection){
		"Close":                 func(c *Connection) { _ = c.Close() },
		"Do":                    func(c *Connection) { c.Do(&protocol.Close{}, nil) },
		"Abort":                 func(c *Connection) { c.Abort() },
		"a deadline":            func(c *Connection) { c.Kill() },
		"the peer, on the turn": func(c *Connection) { c.finish(nil, protocol.ReasonPeerClosed, nil) },
		"a handler, by Goexit":  func(c *Connection) { c.guard(nil, new(bool)) },
		"a slow consumer": func(c *Connection) {
			c.overflow(SlowClose, protocol.ErrWriteQueueFull)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newConnection(Options{SlowConsumer: SlowClose}, &taker{})
			var called []string
			c.whenClosing(func() { called = append(called, "first") })
			cancelled := c.whenClosing(func() { called = append(called, "cancelled") })
			assert.True(t, cancelled())
			assert.False(t, cancelled())
			end(c)
			assert.Equal(t, []string{"first"}, called, "at once, on the goroutine that ends it")
			_ = c.Close()
			c.Abort()
			late := c.whenClosing(func() { called = append(called, "late") })
			assert.Equal(t, []string{"first", "late"}, called)
			assert.False(t, late())
		})
	}
}

// CloseWrite ends one direction only.
func TestAHookIsNotCalledByAHalfClose(t *testing.T) {
	c := newConnection(Options{}, &taker{})
	c.whenClosing(func() { assert.Fail(t, "called") })
	c.CloseWrite()
}

func TestHooksAddedWhileTheEndBeginsAreCalledOnceOrCancelled(t *testing.T) {
	for range 500 {
		c := newConnection(Options{}, &taker{})
		var called, cancelled atomic.Int32
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				cancel := c.whenClosing(func() { called.Add(1) })
				if i%2 == 0 && cancel() {
					cancelled.Add(1)
				}
			})
		}
		all.Go(func() { _ = c.Close() })
		all.Wait()
		assert.Equal(t, int32(4), called.Load()+cancelled.Load())
	}
}
