package listener

import (
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// unhurried is a listener whose Accept takes its time to notice a deadline.
type unhurried struct {
	net.Listener
	notice chan struct{}
}

func (l *unhurried) SetDeadline(time.Time) error { return nil }

func (l *unhurried) Accept() (net.Conn, error) {
	<-l.notice
	return nil, os.ErrDeadlineExceeded
}

// The holder of the socket accepts the clients that wait. A loop that is still inside would take
// them first.
func TestWhileASocketIsHeldNoLoopIsInAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &unhurried{notice: make(chan struct{})}
		k := newStreamSocket(l, 1)
		_, called := k.state()
		results := make(chan error, 2)
		for range 2 {
			go func() { _, err := k.accept(); results <- err }()
		}
		synctest.Wait()
		held := make(chan bool, 2)
		for range 2 {
			go func() { held <- k.hold() }()
		}
		synctest.Wait()
		l.notice <- struct{}{}
		synctest.Wait()
		assert.Empty(t, held, "one loop is inside still")
		l.notice <- struct{}{}
		assert.True(t, <-held)
		assert.True(t, <-held)
		for range 2 {
			assert.True(t, k.ours(<-results, called))
		}
		k.release()
		_, err := k.accept()
		require.Equal(t, errHeld, err, "by the other")
		assert.True(t, k.ours(err, called))
		k.release()
		go func() { l.notice <- struct{}{} }()
		_, err = k.accept()
		require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	})
}
