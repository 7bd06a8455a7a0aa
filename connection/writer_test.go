package connection

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/go-berth/berth/connection/transport"
	"github.com/go-berth/berth/protocol"
)

// turn does what a turn of the writer's mailbox does: its mail, then work until there is none. It
// reports whether it ended.
func (w *writer) turn() bool {
	for {
		if w.Pull() == nil {
			return w.ended
		}
		w.work()
	}
}

// accepted holds what a test knows of an accepted write.
type accepted struct {
	data      []byte
	wants     bool // a completion
	completed int
	err       error
	memory    int64 // of the budget
}

// The writes are cut into slices in any way, and the kernel takes any parts of them at a time. The
// stream is the writes in order. Each completes once. The credit is exact. Accepted is written plus
// unsent.
func TestTheWriterBringsOutEveryAcceptedByteInOrderOrCountsIt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		socket := &taker{}
		b := NewBudget(BudgetLimits{Total: 1 << 30, HighWater: 1 << 30, LowWater: 1 << 29, Timeout: second}, func(bool, int64) {})
		c := budgeted(b, Options{WriteQueueSize: 200, WriteBufferSize: 1 << 30}, socket)
		var groups [2]Group
		for i := range groups {
			require.NoError(t, groups[i].Add(c))
		}
		var writes []*accepted
		var all []byte
		next, before := byte(0), int64(0) // before: the budget before the next write
		piece := func(t *rapid.T) []byte {
			p := make([]byte, rapid.OneOf(rapid.IntRange(0, 5), rapid.IntRange(0, 5000)).Draw(t, "size"))
			for i := range p {
				p[i] = next
				next++
			}
			return p
		}
		keep := func(err error, w *accepted) {
			require.NoError(t, err)
			w.memory = b.Held() - before
			before = b.Held()
			writes = append(writes, w)
			all = append(all, w.data...)
		}
		complete := func() { c.completions.run(func(one completion) { one.done(one.err) }) }
		check := func(t *rapid.T) {
			complete()
			require.True(t, bytes.HasPrefix(all, socket.took))
			require.EqualValues(t, len(socket.took), c.written.Load())
			end, whole, held := 0, 0, int64(0)
			for _, w := range writes {
				end += len(w.data)
				if end <= len(socket.took) {
					whole++
				} else {
					held += w.memory // also of a write that is written in part
				}
				require.LessOrEqual(t, w.completed, 1)
				if w.completed == 1 && w.err == nil {
					require.LessOrEqual(t, end, len(socket.took), "completed before it was written")
				}
			}
			count, size := c.credit.pending()
			require.Equal(t, len(all)-len(socket.took), size)
			require.GreaterOrEqual(t, count, len(writes)-whole)
			require.Equal(t, held, b.Held())
		}
		t.Repeat(map[string]func(*rapid.T){
			"write": func(t *rapid.T) {
				p := piece(t)
				if count, _ := c.credit.pending(); count == 200 {
					t.Skip("full")
				}
				n, err := c.Write(p)
				require.Equal(t, len(p), n)
				keep(err, &accepted{data: p})
			},
			"buffers": func(t *rapid.T) {
				if count, _ := c.credit.pending(); count == 200 {
					t.Skip("full")
				}
				bufs := make([][]byte, rapid.IntRange(0, 70).Draw(t, "slices"))
				for i := range bufs {
					bufs[i] = piece(t)
				}
				if bytes := len(bytes.Join(bufs, nil)); bytes > 1<<18 {
					t.Skip("too much at once")
				} else if _, size := c.credit.pending(); size+bytes > 1<<20 {
					t.Skip("full")
				}
				w := &accepted{data: bytes.Join(bufs, nil), wants: true}
				keep(c.WriteBuffers(bufs, func(err error) { w.completed++; w.err = err }), w)
			},
			"group": func(t *rapid.T) {
				p := piece(t)
				if count, _ := c.credit.pending(); count == 200 {
					t.Skip("full")
				}
				d, err := groups[rapid.IntRange(0, 1).Draw(t, "group")].WriteOwned(p)
				require.Equal(t, 1, d.Accepted)
				keep(err, &accepted{data: p})
			},
			"turn": func(t *rapid.T) {
				socket.allow = rapid.OneOf(rapid.IntRange(0, 20), rapid.IntRange(0, 20_000)).Draw(t, "allow")
				socket.then = transport.ErrAgain
				c.Writable()
				require.False(t, c.writer.turn())
				before = b.Held()
			},
			"": check,
		})

		// The end: everything goes out, or the kernel refuses after some more.
		c.credit.close()
		c.writer.order(orderFlush | orderFIN)
		fails := rapid.Bool().Draw(t, "fails")
		socket.allow, socket.then = 1<<30, transport.ErrAgain
		if fails {
			socket.allow, socket.then = rapid.IntRange(0, 10_000).Draw(t, "last"), syscall.EPIPE
		}
		c.Writable()
		require.True(t, c.writer.turn())
		complete()
		require.True(t, c.credit.idle())
		require.Zero(t, b.Held())
		require.True(t, bytes.HasPrefix(all, socket.took))
		require.EqualValues(t, len(all), c.written.Load()+c.unsent())
		if len(socket.took) == len(all) && c.writer.err() == nil {
			require.Equal(t, 1, socket.finished, "one FIN, after the last byte")
			require.Zero(t, c.unsent())
		} else {
			require.True(t, fails)
			require.Zero(t, socket.finished)
			require.ErrorIs(t, c.writer.err(), syscall.EPIPE)
		}
		end := 0
		for _, w := range writes {
			end += len(w.data)
			if w.wants {
				require.Equal(t, 1, w.completed)
				require.Equal(t, end > len(socket.took), w.err != nil || len(w.data) == 0 && end > len(socket.took), "%v", w.err)
			}
		}
	})
}

// A caller that writes reserves first and posts then. A Close in between finds the write accepted,
// so it is flushed.
func TestTheWriterDoesNotEndBeforeEveryAcceptedWriteHasCome(t *testing.T) {
	socket := &taker{allow: 10}
	c := newConnection(Options{}, socket)
	_, err := c.credit.reserve(3, &c.shared.limits)
	require.NoError(t, err)
	c.credit.close()
	c.writer.order(orderFlush | orderFIN)
	c.Writable()
	require.Nil(t, c.writer.Pull(), "a write is still coming")

	e := newEntry()
	e.data = []byte("abc")
	c.post(e, false)
	require.True(t, c.writer.turn())
	assert.Equal(t, "abc", string(socket.took))
	assert.Equal(t, 1, socket.finished)
	assert.Zero(t, c.unsent())
}

func queueOf(entries ...*entry) *queue {
	q := new(queue)
	for _, e := range entries {
		q.push(e)
	}
	return q
}

func TestOneSystemCallTakesTheWholeQueueAsFarAsItMay(t *testing.T) {
	v := newVector()
	defer v.free(maxVector)
	of := func(n int, file *fileWrite, bufs ...[]byte) *entry {
		e := new(entry)
		e.buffers(bufs, n)
		if file != nil {
			e.makeRest().file = file
		}
		return e
	}
	text := func(bufs [][]byte) string { return string(bytes.Join(bufs, []byte("|"))) }
	a, b, c := []byte("a"), []byte("b"), []byte("c")

	assert.Equal(t, "a|b|c", text(v.fill(queueOf(of(2, nil, a, nil, b), of(0, nil, nil), of(1, nil, c)))), "empty slices take no place")
	assert.Equal(t, "a", text(v.fill(queueOf(of(1, nil, a), of(9, &fileWrite{File: os.Stdin}, nil), of(1, nil, b)))), "up to the first file")
	assert.Empty(t, v.fill(queueOf(of(9, &fileWrite{File: os.Stdin}, nil))))

	many := make([][]byte, maxVector+10)
	for i := range many {
		many[i] = a
	}
	assert.Len(t, v.fill(queueOf(of(len(many), nil, many...), of(1, nil, b))), maxVector)
	big := make([]byte, maxBatch)
	assert.Len(t, v.fill(queueOf(of(2, nil, a), of(len(big), nil, big), of(1, nil, b))), 2, "a batch is about %d bytes", maxBatch)

	assert.Equal(t, "a", text(alone(queueOf(of(1, nil, a)))))
	assert.Nil(t, alone(queueOf(of(1, nil, a), of(1, nil, b))))
	assert.Nil(t, alone(queueOf(of(2, nil, a, b))))
	assert.Nil(t, alone(queueOf(of(maxBatch+1, nil, append(big, 'x')))))
}

func TestAFileIsOneWriteInItsPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("0123456789"), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	socket := &taker{then: transport.ErrAgain}
	c := newConnection(Options{WriteBufferSize: 4}, socket)
	_, err = c.Write([]byte("<"))
	require.NoError(t, err)
	var done []error
	require.NoError(t, c.WriteFile(f, 0, 10, func(err error) { done = append(done, err) }), "it needs none of the write buffer")
	_, err = c.Write([]byte(">"))
	require.NoError(t, err)
	for range 6 {
		socket.allow = 2
		c.Writable()
		c.writer.turn()
	}
	c.completions.run(func(one completion) { one.done(one.err) })
	assert.Equal(t, "<0123456789>", string(socket.took))
	assert.Equal(t, []error{nil}, done)
	assert.True(t, c.credit.idle())
}

func TestGivingUpFailsEveryWriteWithTheCause(t *testing.T) {
	socket := &taker{then: transport.ErrAgain, allow: 2}
	c := newConnection(Options{}, socket)
	var errs []error
	for range 3 {
		require.NoError(t, c.WriteOwned([]byte("abc"), func(err error) { errs = append(errs, err) }))
	}
	c.Writable()
	require.False(t, c.writer.turn())
	cause := errors.New("cause")
	c.kill(protocol.ReasonTransportError, cause)
	require.True(t, c.writer.turn())
	c.completions.run(func(one completion) { one.done(one.err) })
	assert.Equal(t, []error{cause, cause, cause}, errs)
	assert.EqualValues(t, 7, c.unsent())
	assert.Equal(t, 1, socket.aborted)
	require.Equal(t, cause, c.WriteOwned([]byte("late"), nil))
}

func TestABarrierOnItsWayKeepsTheWriterFromFinishing(t *testing.T) {
	c := &Connection{}
	w := &c.writer
	w.c = c
	w.orders.Store(orderFlush)
	assert.True(t, w.mayFinish())
	e := newEntry()
	e.makeRest().barrier = true
	w.inbox.push(e)
	assert.False(t, w.mayFinish(), "in the inbox")
	w.inbox.drainTo(&w.queue)
	assert.False(t, w.mayFinish(), "in the queue")
}
