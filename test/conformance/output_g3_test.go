package conformance

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// G3: every accepted write goes out whole and in order or is counted as unsent in Closed. A refused
// write puts no byte on the wire. The tape checks accepted = written + unsent for every connection
// of this package.

func TestAnEchoReturnsEveryByteInOrder(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{data: echo}, only(connection.Options{})).connect()
		sent := pattern(1_000_000)
		go func() {
			_, _ = io.WriteString(p.Conn, sent)
			_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		same(t, sent, p.rest())
		p.close()
		assert.Equal(t, uint64(len(sent)), tape.ended().Stats.Written)
	})
}

func TestConcurrentWritersAreNotMixed(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		const writers, lines = 6, 200
		p, tape := w.serve(script{}, connection.Options{WriteQueueSize: 8}).connect()
		var all sync.WaitGroup
		for id := range writers {
			all.Go(func() {
				for n := range lines {
					for errors.Is(tape.say(fmt.Sprintf("%d %d\n", id, n)), protocol.ErrWriteQueueFull) {
						w.yield()
					}
				}
			})
		}
		next := make([]int, writers)
		in := bufio.NewReader(p)
		p.patiently()
		for range writers * lines {
			var id, n int
			_, err := fmt.Fscanf(in, "%d %d\n", &id, &n)
			require.NoError(t, err)
			require.Equal(t, next[id], n, "writer %d", id)
			next[id]++
		}
		all.Wait()
	})
}

func TestARefusedWritePutsNoByteOnTheWire(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		o := roomy()
		o.WriteQueueSize = 5
		p, tape := w.serve(script{}, o).connect()
		tape.stall()
		accepted := strings.Repeat("s", stallSize)
		refused := 0
		for n := range 20 {
			text := fmt.Sprintf("<%d>", n)
			if tape.say(text) == nil {
				accepted += text
			} else {
				refused++
			}
		}
		assert.Equal(t, 16, refused)
		_ = tape.socket.Close()
		same(t, accepted, p.rest())
		p.close()
		assert.Zero(t, tape.ended().Stats.Unsent)
	})
}

func TestAnAbortCountsWhatWasNotSent(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, roomy()).connect()
		tape.stall()
		require.NoError(t, tape.say("and more"))
		tape.socket.Abort()
		closed := tape.ended()
		assert.Greater(t, closed.Stats.Unsent, uint64(8))
		assert.Equal(t, uint64(stallSize+8), closed.Stats.Written+closed.Stats.Unsent)
		received, _ := p.all()
		assert.LessOrEqual(t, uint64(len(received)), closed.Stats.Written, "nothing came that was not counted")
	})
}

func TestAPeerThatGoesAwayLeavesTheRestUnsent(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, roomy()).connect()
		tape.stall()
		p.take(1000)
		p.close() // with unread input: a reset
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonPeerReset, closed.Reason)
		assert.Positive(t, closed.Stats.Unsent)
		assert.GreaterOrEqual(t, closed.Stats.Written, uint64(1000))
	})
}

func TestWriteCopiesWhatItIsGiven(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, roomy()).connect()
		tape.stall()
		b := []byte("before")
		n, err := tape.socket.Write(b)
		require.NoError(t, err)
		tape.book(n)
		copy(b, "AFTER!")
		p.take(stallSize)
		p.expect("before")
	})
}

func TestWriteBuffersIsOneWrite(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteQueueSize: 4, WriteBufferSize: 100}).connect()
		var all sync.WaitGroup
		for id := range 3 {
			all.Go(func() {
				for range 100 {
					bufs := [][]byte{fmt.Appendf(nil, "%d", id), nil, fmt.Appendf(nil, "%d", id), fmt.Appendf(nil, "%d", id)}
					for tape.writeBuffers("buffers", bufs) != nil {
						w.yield()
					}
				}
			})
		}
		for range 300 {
			triple := p.take(3)
			require.True(t, triple[0] == triple[1] && triple[1] == triple[2], "%s", triple)
		}
		all.Wait()
	})
}

func TestWriteBuffersIsTakenOrRefusedAsAWhole(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteBufferSize: 10}).connect()
		assert.ErrorIs(t, tape.writeBuffers("big", [][]byte{[]byte("12345"), []byte("678901")}), protocol.ErrWriteTooLarge)
		require.NoError(t, tape.writeBuffers("fits", [][]byte{[]byte("abcde"), []byte("fghij")}))
		p.expect("abcdefghij")
		tape.await("fits")
	})
}

func TestWriteBuffersTakesMoreSlicesThanOneSystemCall(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, roomy()).connect()
		whole := pattern(300_000)
		var bufs [][]byte
		for left, n := whole, 0; left != ""; n++ {
			size := min(len(left), n%1500)
			bufs = append(bufs, []byte(left[:size]))
			left = left[size:]
		}
		require.NoError(t, tape.say("begin"))
		require.NoError(t, tape.writeBuffers("many", bufs))
		require.NoError(t, tape.say("end"))
		same(t, "begin"+whole+"end", string(p.take(len(whole)+8)))
	})
}

func TestAnEmptyWriteCompletes(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		_, tape := w.serve(script{}, connection.Options{}).connect()
		require.NoError(t, tape.write("empty", ""))
		require.NoError(t, tape.writeBuffers("none", nil))
		assert.NoError(t, tape.await("empty").err)
		assert.NoError(t, tape.await("none").err)
	})
}

func TestForwardEchoesWithoutACopy(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		p, tape := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error {
			n, err := t.socket.Forward(b)
			t.book(n)
			return err
		}}, only(connection.Options{})).connect()
		sent := pattern(500_000)
		go func() {
			_, _ = io.WriteString(p.Conn, sent)
			_ = p.Conn.(interface{ CloseWrite() error }).CloseWrite()
		}()
		same(t, sent, p.rest())
		p.close()
		tape.ended()
	})
}

func TestForwardGivesTheBytesToAnotherConnection(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		var to atomic.Pointer[protocol.Socket]
		s := w.serve(script{data: func(t *tape, b *protocol.Buffer) error { _, err := (*to.Load()).Forward(b); return err }},
			connection.Options{WriteBufferSize: -1})
		out, target := s.connect()
		target.unbooked = true
		to.Store(&target.socket)
		in, _ := s.connect()
		sent := pattern(200_000)
		go func() { _, _ = io.WriteString(in.Conn, sent) }()
		same(t, sent, string(out.take(len(sent))))
		target.socket.Abort()
		assert.Equal(t, uint64(len(sent)), target.ended().Stats.Written)
	})
}

func TestARefusedForwardLeavesTheBuffer(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{data: func(t *tape, b *protocol.Buffer) error {
			n, err := t.socket.Forward(b)
			assert.Zero(t.w.t, n)
			t.record(event{what: "refused", err: err})
			return nil
		}}, connection.Options{WriteBufferSize: 3}).connect()
		p.send("hello")
		assert.ErrorIs(t, tape.nth(1, "refused").err, protocol.ErrWriteTooLarge)
		tape.socket.Resume()
		assert.ErrorIs(t, tape.nth(2, "refused").err, protocol.ErrWriteTooLarge)
		assert.Equal(t, "hello", tape.nth(2, "data").text)
	})
}

func (w *world) file(content string) *os.File {
	name := filepath.Join(w.t.TempDir(), "file")
	require.NoError(w.t, os.WriteFile(name, []byte(content), 0o600))
	f, err := os.Open(name)
	require.NoError(w.t, err)
	w.t.Cleanup(func() { _ = f.Close() })
	return f
}

// writeBuffers queues several slices as one write, with a completion of that name.
func (t *tape) writeBuffers(name string, bufs [][]byte) error {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	err := t.socket.WriteBuffers(bufs, t.done(name))
	t.owe(name, n, err)
	return err
}
