package conformance

import (
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
)

// sendFile queues a part of a file, with a completion of that name.
func (t *tape) sendFile(name string, f *os.File, offset, n int64) error {
	err := t.socket.WriteFile(f, offset, n, t.done(name))
	t.owe(name, int(n), err)
	return err
}

func position(t *testing.T, f *os.File) int64 {
	t.Helper()
	at, err := f.Seek(0, io.SeekCurrent)
	require.NoError(t, err)
	return at
}

func TestPartsOfOneFileGoToManyConnectionsAndItsPositionStays(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		server := w.serve(script{}, connection.Options{WriteBufferSize: 10})
		content := pattern(3_000_000)
		f := w.file(content)
		_, err := f.Seek(7, io.SeekStart)
		require.NoError(t, err)
		var peers []*peer
		for range 3 {
			p, tape := server.connect()
			require.NoError(t, tape.say("<"))
			require.NoError(t, tape.sendFile("file", f, 1000, 2_000_000))
			require.NoError(t, tape.say(">"), "a file takes no room in the write buffer")
			require.NoError(t, tape.sendFile("again", f, 2_999_990, 10))
			peers = append(peers, p)
		}
		for i, p := range peers {
			same(t, "<"+content[1000:2_001_000]+">"+content[2_999_990:], string(p.take(2_000_012)))
			assert.NoError(t, w.tapes[i].await("file").err)
			assert.NoError(t, w.tapes[i].await("again").err)
		}
		assert.EqualValues(t, 7, position(t, f))
	})
}

func TestAShortFileFailsItsWriteAlone(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		f := w.file("short")
		require.NoError(t, tape.sendFile("file", f, 1, 100))
		require.NoError(t, tape.write("later", ", and on; "))
		require.NoError(t, tape.sendFile("beyond", f, 1<<40, 10))
		require.NoError(t, tape.sendFile("nothing", f, 1<<40, 0))
		require.NoError(t, tape.write("last", "the end"))
		p.expect("hort, and on; the end")
		require.ErrorIs(t, tape.await("file").err, io.ErrUnexpectedEOF)
		require.NoError(t, tape.await("later").err)
		require.ErrorIs(t, tape.await("beyond").err, io.ErrUnexpectedEOF)
		require.NoError(t, tape.await("nothing").err)
		require.NoError(t, tape.await("last").err)
		info := tape.socket.Info()
		assert.Zero(t, info.QueuedWrites)
		assert.Equal(t, protocol.StateOpen, info.State)
		tape.socket.Do(&protocol.Close{}, tape.done("close"))
		tape.owe("close", 0, nil)
		_ = p.rest()
		p.close()
		closed := tape.ended()
		assert.NoError(t, tape.await("close").err, "all that there was went out")
		assert.Equal(t, protocol.ReasonLocalClosed, closed.Reason)
		assert.NoError(t, closed.Err)
		assert.EqualValues(t, len("hort, and on; the end"), closed.Stats.Written)
		assert.EqualValues(t, 96+10, closed.Stats.Unsent)
	})
}

func TestAFileThatCannotBeSentIsOneSentenceAtOnceAndTakesNoPlace(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteQueueSize: 1}).connect()
		content := w.file("content")
		gone := w.file("content")
		require.NoError(t, gone.Close())
		directory, err := os.Open(t.TempDir())
		require.NoError(t, err)
		defer directory.Close()
		r, from, err := os.Pipe()
		require.NoError(t, err)
		defer r.Close()
		defer from.Close()
		for _, bad := range []struct {
			f         *os.File
			offset, n int64
			is        error
			says      string
		}{
			{content, 0, -1, os.ErrInvalid, "cannot write -1 bytes of a file"},
			{content, -1, 1, os.ErrInvalid, "cannot write a file from offset -1"},
			{content, math.MaxInt64, 1, os.ErrInvalid, "cannot write 1 bytes of a file from offset 9223372036854775807"},
			{nil, 0, 1, os.ErrInvalid, "no file to write"},
			{gone, 0, 1, os.ErrClosed, "cannot write a file"},
			{directory, 0, 1, os.ErrInvalid, "cannot write the directory"},
			{r, 1, 1, os.ErrInvalid, "it is read from where it stands"},
		} {
			err := tape.sendFile("bad", bad.f, bad.offset, bad.n)
			require.ErrorIs(t, err, bad.is, bad.says)
			assert.Contains(t, err.Error(), bad.says)
			assert.True(t, strings.HasPrefix(err.Error(), "berth: "), bad.says)
			assert.NotContains(t, err.Error(), "\n")
		}
		require.NoError(t, tape.write("later", "later"))
		p.expect("later")
		assert.NoError(t, tape.await("later").err)
	})
}

// An error that is known only when the file is read goes to done.
func TestAFileThatCannotBeReadFailsItsWriteAlone(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, roomy()).connect()
		tape.stall() // nothing behind it is read yet
		gone := w.file("content")
		require.NoError(t, tape.sendFile("gone", gone, 0, 7))
		require.NoError(t, gone.Close())
		blind, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_WRONLY|os.O_CREATE, 0o600)
		require.NoError(t, err)
		defer blind.Close()
		_, err = blind.WriteString("content")
		require.NoError(t, err)
		require.NoError(t, tape.sendFile("blind", blind, 0, 7))
		require.NoError(t, tape.write("later", "later"))
		p.take(stallSize)
		p.expect("later")
		require.ErrorIs(t, tape.await("gone").err, os.ErrClosed)
		require.Error(t, tape.await("blind").err)
		require.NoError(t, tape.await("later").err)
		require.NoError(t, tape.await("stall").err)
	})
}

// Files of /proc have the size 0, and the kernel cannot send some of them: sendfile returns EINVAL.
func TestAFileThatTheKernelDoesNotSendIsCopied(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("no /proc")
	}
	eachNetwork(t, func(t *testing.T, w *world) {
		const path = "/proc/self/limits"
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		f, err := os.Open(path)
		require.NoError(t, err)
		defer f.Close()
		p, tape := w.serve(script{}, connection.Options{}).connect()
		size := int64(len(content))
		require.NoError(t, tape.sendFile("whole", f, 0, size))
		require.NoError(t, tape.sendFile("part", f, 100, 200))
		require.NoError(t, tape.sendFile("more", f, 100, size))
		require.NoError(t, tape.write("later", "later"))
		p.expect(string(content))
		p.expect(string(content[100:300]))
		p.expect(string(content[100:]))
		p.expect("later")
		require.NoError(t, tape.await("whole").err)
		require.NoError(t, tape.await("part").err)
		require.ErrorIs(t, tape.await("more").err, io.ErrUnexpectedEOF)
		require.NoError(t, tape.await("later").err)
		assert.Zero(t, position(t, f))
	})
}

// eachPipe runs test over real networks, with each kind of pipe that a program may have: one for
// which the runtime waits, and one that blocks, as standard input does.
func eachPipe(t *testing.T, test func(t *testing.T, w *world, r, from *os.File)) {
	t.Helper()
	for name, make := range pipes {
		t.Run(name, func(t *testing.T) {
			for _, n := range networks {
				if n.virtual() {
					continue // a bubble's clock stands still while a pipe is read
				}
				n.each(t, func(t *testing.T, w *world) {
					r, from, err := make()
					require.NoError(t, err)
					defer r.Close()
					defer from.Close()
					test(t, w, r, from)
				})
			}
		})
	}
}

func TestWhatComesThroughAPipeIsSentAsItComes(t *testing.T) {
	mostlyWaits(t)
	eachPipe(t, func(t *testing.T, w *world, r, from *os.File) {
		p, tape := w.serve(script{}, connection.Options{WriteQueueSize: 3}).connect()
		content := pattern(300_000)
		require.NoError(t, tape.sendFile("pipe", r, 0, int64(len(content))))
		require.NoError(t, tape.write("later", "later"))
		require.NoError(t, tape.sendFile("end", r, 0, 10))
		_, err := from.WriteString(content[:5])
		require.NoError(t, err)
		p.expect(content[:5])
		require.ErrorIs(t, tape.socket.WriteOwned([]byte("x"), nil), protocol.ErrWriteQueueFull, "a silent pipe makes no room, and nothing waits for it")
		go func() {
			_, _ = from.WriteString(content[5:] + "rest")
			_ = from.Close()
		}()
		same(t, content[5:], string(p.take(len(content)-5)))
		p.expect("laterrest")
		require.NoError(t, tape.await("pipe").err)
		require.NoError(t, tape.await("later").err)
		require.ErrorIs(t, tape.await("end").err, io.ErrUnexpectedEOF)
	})
}

func TestASilentPipeHoldsUpNoClose(t *testing.T) {
	mostlyWaits(t)
	eachPipe(t, func(t *testing.T, w *world, r, from *os.File) {
		// With the default CloseTimeout, an end by force would have another reason.
		p, tape := w.serve(script{}, connection.Options{}).connect()
		require.NoError(t, tape.write("before", "before"))
		require.NoError(t, tape.sendFile("pipe", r, 0, 100))
		require.NoError(t, tape.write("after", "after"))
		_, err := from.WriteString("some")
		require.NoError(t, err)
		p.expect("beforesome")
		require.NoError(t, tape.socket.Close())
		assert.Equal(t, "after", p.rest(), "what was accepted behind it is flushed")
		p.close()
		closed := tape.ended()
		assert.Equal(t, protocol.ReasonLocalClosed, closed.Reason)
		assert.EqualValues(t, 96, closed.Stats.Unsent)
		require.Error(t, tape.await("pipe").err)
		require.NoError(t, tape.await("after").err)
		readsItself(t, r, from)
	})
}

// readsItself requires that nothing else reads the pipe any more or has left a deadline there.
func readsItself(t *testing.T, r, from *os.File) {
	t.Helper()
	_, err := from.WriteString("mine")
	require.NoError(t, err)
	got := make([]byte, 4)
	_, err = io.ReadFull(r, got)
	require.NoError(t, err)
	assert.Equal(t, "mine", string(got))
}

func TestAPipeThatSpeaksIsFlushedByAClose(t *testing.T) {
	eachPipe(t, func(t *testing.T, w *world, r, from *os.File) {
		p, tape := w.serve(script{}, connection.Options{}).connect()
		content := pattern(200_000)
		require.NoError(t, tape.sendFile("pipe", r, 0, int64(len(content))))
		require.NoError(t, tape.socket.Close())
		go func() { _, _ = from.WriteString(content) }()
		same(t, content, p.rest())
		p.close()
		require.NoError(t, tape.await("pipe").err)
		assert.Zero(t, tape.ended().Stats.Unsent)
	})
}

func TestASilentPipeHoldsUpNoAbortNorAResetNorAShutdown(t *testing.T) {
	mostlyWaits(t)
	for name, end := range map[string]func(p *peer, tape *tape, s *server){
		"abort": func(_ *peer, tape *tape, _ *server) { tape.socket.Abort() },
		"stop":  func(_ *peer, tape *tape, s *server) { s.w.system.Root.Stop(tape.socket.PID()) },
		"close": func(_ *peer, _ *tape, s *server) { _ = s.Close() },
		"shutdown": func(_ *peer, _ *tape, s *server) {
			s.w.shutdown(s, 50*time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachPipe(t, func(t *testing.T, w *world, r, from *os.File) {
				s := w.serve(script{}, connection.Options{})
				p, tape := s.connect()
				require.NoError(t, tape.sendFile("pipe", r, 0, 100))
				require.NoError(t, tape.write("after", "after"))
				w.settle()
				end(p, tape, s)
				_, _ = p.all()
				require.Error(t, tape.await("pipe").err)
				tape.ended()
				readsItself(t, r, from)
			})
		})
	}
}

// shutdown must name no handler: none was inside.
func (w *world) shutdown(s *server, limit time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	err := s.Shutdown(ctx)
	var late *listener.ShutdownError
	if assert.ErrorAs(w.t, err, &late) {
		assert.Empty(w.t, late.Stuck)
	}
}

// WriteTimeout is about the peer, and nothing is offered to the peer here.
func TestASilentPipeIsNoStallOfThePeers(t *testing.T) {
	mostlyWaits(t)
	eachPipe(t, func(t *testing.T, w *world, r, from *os.File) {
		p, tape := w.serve(script{}, connection.Options{WriteTimeout: 100 * time.Millisecond}).connect()
		require.NoError(t, tape.sendFile("pipe", r, 0, 5))
		p.silentFor(300 * time.Millisecond)
		_, err := from.WriteString("there")
		require.NoError(t, err)
		p.expect("there")
		require.NoError(t, tape.await("pipe").err)
	})
}

// silentFor requires that neither bytes nor the end come for the given time.
func (p *peer) silentFor(d time.Duration) {
	p.w.t.Helper()
	require.NoError(p.w.t, p.SetReadDeadline(time.Now().Add(d)))
	_, err := p.Read(make([]byte, 1))
	require.ErrorIs(p.w.t, err, os.ErrDeadlineExceeded)
}

// SlowConsumer is about the peer as well.
func TestASilentPipeMakesNoSlowConsumerOfThePeer(t *testing.T) {
	mostlyWaits(t)
	for _, policy := range []connection.SlowPolicy{connection.SlowRefuse, connection.SlowClose, connection.SlowDropNewest} {
		eachPipe(t, func(t *testing.T, w *world, r, from *os.File) {
			p, tape := w.serve(script{}, connection.Options{WriteQueueSize: 2, SlowConsumer: policy}).connect()
			require.NoError(t, tape.sendFile("pipe", r, 0, 5))
			require.NoError(t, tape.write("later", "later"))
			require.ErrorIs(t, tape.write("refused", "refused"), protocol.ErrWriteQueueFull)
			var group connection.Group
			require.NoError(t, group.Add(tape.socket))
			delivery, err := group.Write([]byte("refused"))
			require.NoError(t, err)
			assert.Equal(t, connection.Delivery{Refused: []protocol.Socket{tape.socket}}, delivery)
			assert.Equal(t, 1, group.Len(), "it is not closed")
			group.Remove(tape.socket)
			_, err = from.WriteString("there")
			require.NoError(t, err)
			p.expect("therelater")
			assert.True(t, tape.await("writable").flag || tape.nth(2, "writable").flag, "there is room again")
			require.NoError(t, tape.write("last", "the end"))
			p.expect("the end")
			assert.Zero(t, tape.socket.Info().Stats.DroppedWrites)
		})
	}
}
