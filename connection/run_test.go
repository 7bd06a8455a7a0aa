package connection

import (
	"encoding/binary"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection/transport"
)

// The writer takes runs at any moment between the writes of two groups and of the connection's own.
func TestRunsThatAreTakenWhileTheyGrowLoseAndSwapNothing(t *testing.T) {
	const sources, each = 3, 10_000
	socket := &taker{allow: 1 << 30}
	c := newConnection(Options{WriteQueueSize: 64}, socket)
	c.Writable()
	var groups [sources - 1]Group
	for i := range groups {
		require.NoError(t, groups[i].Add(c))
	}
	var writing sync.WaitGroup
	var written atomic.Bool
	for source := range sources {
		writing.Go(func() {
			for n := range each {
				for {
					if count, _ := c.credit.pending(); count < 64-sources {
						break
					}
					runtime.Gosched()
				}
				p := binary.BigEndian.AppendUint32([]byte{byte(source)}, uint32(n))
				if source == len(groups) {
					assert.NoError(t, c.WriteOwned(p, nil))
					continue
				}
				d, err := groups[source].WriteOwned(p)
				assert.NoError(t, err)
				assert.Equal(t, 1, d.Accepted)
			}
		})
	}
	go func() { writing.Wait(); written.Store(true) }()
	for !written.Load() || !c.credit.idle() {
		c.writer.turn()
		runtime.Gosched()
	}
	var next [sources]uint32
	for p := socket.took; len(p) > 0; p = p[5:] {
		source := p[0]
		require.Equal(t, next[source], binary.BigEndian.Uint32(p[1:]), "source %d", source)
		next[source]++
	}
	assert.Equal(t, [sources]uint32{each, each, each}, next)
}

// A member keeps room for as many slices as it had use for, and none for a queue that is empty
// before every write.
func TestARunHasRoomForWhatItsMemberNeeds(t *testing.T) {
	socket := &taker{allow: 1 << 30}
	c := newConnection(Options{WriteQueueSize: 1000}, socket)
	c.Writable()
	var g Group
	require.NoError(t, g.Add(c))
	r := g.members[0].runs
	burst := func(n int) {
		for range n {
			d, err := g.WriteOwned([]byte("line"))
			require.NoError(t, err)
			require.Equal(t, 1, d.Accepted)
		}
		c.writer.turn()
	}
	burst(1)
	assert.Zero(t, r.size)
	burst(500)
	assert.Equal(t, mostLines, r.size)
	for range 10 {
		burst(1)
	}
	assert.Zero(t, r.size)
	assert.Len(t, socket.took, 4*511)
	spare := 0
	for n := r.finished.Load(); n != nil; n = n.next {
		assert.Zero(t, n.rest)
		spare++
	}
	assert.LessOrEqual(t, spare, mostSpare)
}

func TestAWriteToAGroupAllocatesNothingForAMemberThatKeepsUp(t *testing.T) {
	socket := &discarder{}
	c := newConnection(Options{}, &socket.taker)
	c.socket = socket
	c.Writable()
	var g Group
	require.NoError(t, g.Add(c))
	p := []byte("line")
	assert.Zero(t, testing.AllocsPerRun(1000, func() {
		_, _ = g.WriteOwned(p)
		c.writer.turn()
	}))
}

// discarder is a socket that takes everything.
type discarder struct{ taker }

func (d *discarder) Writev(bufs [][]byte) (n int, err error) {
	for _, p := range bufs {
		n += len(p)
	}
	return n, nil
}

var _ transport.Conn = (*discarder)(nil)
