package observe

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/record"
	"github.com/go-berth/berth/test/berthtest"
	"github.com/go-berth/berth/test/simnet"
)

// ledger keeps amounts by name. It has a defect: it panics if a name that was removed comes again
// in a piece that does not begin with it.
type ledger struct {
	amounts map[string]int
	removed map[string]bool
	fixed   bool
}

func (l *ledger) Data(socket berth.Socket, data *berth.Buffer) error {
	for first := true; ; first = false {
		line, ok := data.ReadLine()
		if !ok {
			return nil
		}
		name, rest, _ := strings.Cut(string(line), " ")
		switch {
		case rest == "gone":
			delete(l.amounts, name)
			l.removed[name] = true
		case l.removed[name] && !first && !l.fixed:
			panic(fmt.Sprintf("%s is there although it is gone", name))
		default:
			l.amounts[name] += len(rest)
		}
		if _, err := fmt.Fprintln(socket, name, l.amounts[name]); err != nil {
			return err
		}
	}
}

func ledgers(fixed bool) berth.Factory {
	return berth.Handlers(func() berth.Handler {
		return &ledger{amounts: map[string]int{}, removed: map[string]bool{}, fixed: fixed}
	})
}

// files returns the recordings in a directory.
func files(t *testing.T, dir string) (all []*record.Recording) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.berthrec"))
	require.NoError(t, err)
	for _, name := range names {
		r, err := record.Load(name)
		require.NoError(t, err)
		all = append(all, r)
	}
	return all
}

func recording(t *testing.T, handler berth.Factory, options record.Options) berth.Factory {
	t.Helper()
	options.Problem = func(err error) { t.Error(err) }
	recorded, err := record.Handler(handler, options)
	require.NoError(t, err)
	return recorded
}

// A client that sends lines at random, in pieces at random, until the handler panics, is recorded.
// The replay ends in the same panic, every time, and not at all once the defect is mended.
func TestARecordedPanicComesAgainInTheReplay(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		random := rand.New(rand.NewPCG(seed, 0))
		dir := t.TempDir()
		server := berthtest.Serve(t, recording(t, ledgers(false), record.Options{Dir: dir, Payload: true, Keep: record.Failed}),
			append(options, berthtest.AllowFailures())...)
		e := listen(server.System)
		kept := server.Dial()
		kept.Send("x 1\n")
		kept.ExpectLine("x 1")
		kept.CloseWrite()
		kept.ExpectEOF()
		require.Equal(t, berth.ReasonPeerClosed, kept.ExpectClosed())

		client := server.Dial()
		go func() { _, _ = bytes.NewBuffer(nil).ReadFrom(client.Conn()) }()
		for {
			var lines bytes.Buffer
			for range random.IntN(4) + 1 {
				word := "ab"
				if random.IntN(3) == 0 {
					word = "gone"
				}
				fmt.Fprintf(&lines, "n%d %s\n", random.IntN(4), word)
			}
			if _, err := client.Conn().Write(lines.Bytes()[:random.IntN(lines.Len())+1]); err != nil {
				break
			}
			time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
			if len(of[*connection.HandlerFailed](e)) > 0 {
				break
			}
		}
		require.Equal(t, berth.ReasonHandlerPanic, client.ExpectClosed())
		require.NoError(t, server.Close())
		recordings := files(t, dir)
		require.Len(t, recordings, 1, "the other connection has not failed")
		want, panicked := recordings[0].Panic()
		require.True(t, panicked)
		require.False(t, recordings[0].Truncated)
		assert.Equal(t, client.Conn().LocalAddr().String(), recordings[0].Remote)

		for range 3 {
			replayed := berthtest.Replay(t, recordings[0], ledgers(false), options...)
			got, _ := replayed.Panic()
			assert.Equal(t, want, got)
			assert.Equal(t, berth.ReasonHandlerPanic, replayed.Reason)
		}
		mended := berthtest.Replay(t, recordings[0], ledgers(true), options...)
		assert.NoError(t, mended.Failure)
		assert.NotEqual(t, berth.ReasonHandlerPanic, mended.Reason)
		assert.Contains(t, mended.Received, "\n")
	})
}

// teller is an actor that fails because of a message.
type teller struct{}

func (teller) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *berth.Data:
		m.Buffer.Discard(m.Buffer.Len())
	case *note:
		if m.text == "bad" {
			panic("a bad note")
		}
	}
}

type note struct{ text string }

func TestAMessageIsReplayedByItsType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, tellers := t.TempDir(), berth.Actors(func() actor.Actor { return teller{} })
		server := berthtest.Serve(t, recording(t, tellers, record.Options{Dir: dir, Payload: true}), berthtest.AllowFailures())
		client := server.Dial()
		client.Send("hello")
		synctest.Wait()
		socket := server.Connections()[0]
		server.System.Root.Send(socket.PID(), &note{"good"})
		time.Sleep(time.Hour)
		server.System.Root.Send(socket.PID(), &note{"bad"})
		require.Equal(t, berth.ReasonHandlerPanic, client.ExpectClosed())
		client.Close()
		require.NoError(t, server.Close())
		notes, began := []string{"good", "bad"}, time.Now()
		replayed := berthtest.Replay(t, files(t, dir)[0], tellers, berthtest.OnMessage(func(name string) any {
			assert.Equal(t, "*observe.note", name)
			next := notes[0]
			notes = notes[1:]
			return &note{next}
		}))
		text, panicked := replayed.Panic()
		assert.True(t, panicked)
		assert.Equal(t, "a bad note", text)
		assert.GreaterOrEqual(t, time.Since(began), time.Hour, "the times are those of the recording")
	})
}

// The peer's FIN, and what the handler does then, are replayed.
func TestAFINIsReplayed(t *testing.T) {
	everywhere(t, func(t *testing.T, options ...berthtest.Option) {
		count := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
			if !data.AtEOF() {
				return nil
			}
			_, err := fmt.Fprintf(socket, "%d bytes", data.Discard(data.Len()))
			if err == nil {
				err = errors.New("that is all")
			}
			return err
		})
		dir := t.TempDir()
		server := berthtest.Serve(t, recording(t, count, record.Options{Dir: dir, Payload: true}), append(options, berthtest.AllowFailures())...)
		client := server.Dial()
		client.Send("hello")
		client.CloseWrite()
		client.Expect("5 bytes")
		require.Equal(t, berth.ReasonHandlerError, client.ExpectClosed())
		client.Close()
		require.NoError(t, server.Close())
		replayed := berthtest.Replay(t, files(t, dir)[0], count, options...)
		assert.EqualError(t, replayed.Failure, "that is all")
		assert.Equal(t, "5 bytes", replayed.Received)
	})
}

// The network brings the piece in parts, and the handler is shown it whole.
func TestAReplayShowsThePiecesOfTheRecording(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second := bytes.Repeat([]byte("x"), 5000), []byte("yz")
		r := &record.Recording{Header: record.Header{Payload: true}, Events: []record.Event{
			{Kind: record.Accepted},
			{Kind: record.Data, N: len(first), Bytes: first},
			{Kind: record.Data, N: len(second), Bytes: second},
			{Kind: record.Closed, Reason: "peer closed"},
		}}
		var pieces []int
		handler := berth.HandlerFunc(func(_ berth.Socket, data *berth.Buffer) error {
			pieces = append(pieces, data.Discard(data.Len()))
			return nil
		})
		berthtest.Replay(t, r, handler, berthtest.Network(simnet.Options{BufferSize: 512}))
		assert.Equal(t, []int{5000, 2}, pieces)
	})
}

func TestARecordingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		server := berthtest.Serve(t, recording(t, echo, record.Options{Dir: dir, Payload: true, MaxBytes: 32 << 10, MaxFiles: 2}))
		var clients []*berthtest.Client
		for range 3 {
			client := server.Dial()
			for range 500 { // small ones, so that the file is filled to its limit
				client.Send("hello")
				client.Expect("hello")
			}
			clients = append(clients, client)
		}
		for _, client := range clients {
			client.Close()
		}
		require.NoError(t, server.Close())
		recordings := files(t, dir)
		require.Len(t, recordings, 2)
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		for i, r := range recordings {
			info, err := os.Stat(names[i])
			require.NoError(t, err)
			assert.LessOrEqual(t, info.Size(), int64(32<<10))
			var kinds []record.Kind
			for _, event := range r.Events {
				kinds = append(kinds, event.Kind)
			}
			assert.Equal(t, []record.Kind{record.Full, record.Closing, record.Closed}, kinds[len(kinds)-3:])
		}
	})
}

func TestWithoutAPayloadThereAreNoBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		server := berthtest.Serve(t, recording(t, echo, record.Options{Dir: dir}))
		client := server.Dial()
		client.Send("secret")
		client.Expect("secret")
		client.Close()
		require.NoError(t, server.Close())
		names, err := filepath.Glob(filepath.Join(dir, "*"))
		require.NoError(t, err)
		text, err := os.ReadFile(names[0])
		require.NoError(t, err)
		assert.NotContains(t, string(text), "bytes")
		r := files(t, dir)[0]
		assert.Equal(t, record.Event{At: r.Events[1].At, Kind: record.Data, N: 6}, r.Events[1])
	})
}

// A recording goes on with the handler that replaces one that panicked.
func TestARecordingOutlivesItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		handler := berth.HandlerFunc(func(_ berth.Socket, data *berth.Buffer) error {
			if data.Len() > 1 {
				data.Discard(1)
				panic("two at once")
			}
			return nil
		})
		var options berth.Options
		options.Connection.RestartHandler.Max = 1
		server := berthtest.Serve(t, recording(t, handler, record.Options{Dir: dir, Payload: true}), berthtest.With(options), berthtest.AllowFailures())
		client := server.Dial()
		client.Send("xy")
		synctest.Wait()
		client.Close()
		require.NoError(t, server.Close())
		r := files(t, dir)[0]
		var kinds []string
		for _, event := range r.Events {
			kinds = append(kinds, string(event.Kind))
		}
		assert.Equal(t, "accepted data panicked accepted data returned data returned closing closed", strings.Join(kinds, " "))
		assert.Equal(t, 2, r.Events[1].N)
		assert.Equal(t, 1, r.Events[3].Restarts)
		assert.Zero(t, r.Events[4].N, "the byte that was left is known already")
		assert.Equal(t, "peer closed", r.Events[9].Reason)
	})
}

func TestPickChoosesConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var once sync.Once
		pick := func(berth.Socket) (first bool) {
			once.Do(func() { first = true })
			return first
		}
		server := berthtest.Serve(t, recording(t, echo, record.Options{Dir: dir, Pick: pick}))
		for range 3 {
			server.Dial().Close()
		}
		synctest.Wait()
		require.NoError(t, server.Close())
		assert.Len(t, files(t, dir), 1)
	})
}

// A handler that a Become brings is recorded in the same file, and replayed: so a defect behind an
// upgrade comes again.
func TestARecordingGoesOnBehindABecome(t *testing.T) {
	for name, second := range map[string]func(*testing.T, func(berth.Factory) berth.Factory, berth.Factory) berth.Factory{
		"plain": func(_ *testing.T, _ func(berth.Factory) berth.Factory, f berth.Factory) berth.Factory { return f },
		"recorded": func(_ *testing.T, record func(berth.Factory) berth.Factory, f berth.Factory) berth.Factory {
			return record(f)
		},
	} {
		t.Run(name, func(t *testing.T) {
			everywhere(t, func(t *testing.T, options ...berthtest.Option) {
				upgrade := func(to berth.Factory) berth.Factory {
					return berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
						if _, whole := data.ReadLine(); whole {
							return socket.Become(to)
						}
						return nil
					})
				}
				ends := berth.HandlerFunc(func(_ berth.Socket, data *berth.Buffer) error {
					if string(data.Bytes()) == "rest, more" {
						panic("found")
					}
					return nil
				})
				dir := t.TempDir()
				recorded := func(f berth.Factory) berth.Factory {
					return recording(t, f, record.Options{Dir: dir, Payload: true, Keep: record.Failed})
				}
				server := berthtest.Serve(t, berth.Measure(recorded(upgrade(second(t, recorded, ends))), nil),
					append(options, berthtest.AllowFailures())...)
				client := server.Dial()
				client.Send("upgrade\nrest,")
				client.Send(" more")
				require.Equal(t, berth.ReasonHandlerPanic, client.ExpectClosed())
				require.NoError(t, server.Close())
				recordings := files(t, dir)
				require.NotEmpty(t, recordings)
				for _, one := range recordings {
					assert.False(t, one.Truncated)
					text, _ := one.Panic()
					assert.Equal(t, "found", text)
				}
				for _, one := range recordings {
					if bytes.Contains(one.Events[1].Bytes, []byte("upgrade")) {
						assert.Equal(t, "upgrade\nrest, more", stream(one), "each byte once")
						text, _ := berthtest.Replay(t, one, upgrade(ends), options...).Panic()
						assert.Equal(t, "found", text)
					}
				}
			})
		})
	}
}

// stream returns all bytes of a recording.
func stream(r *record.Recording) string {
	var all []byte
	for _, event := range r.Events {
		all = append(all, event.Bytes...)
	}
	return string(all)
}

// A handler behind Frames may look at a frame and leave it: it is gone all the same.
func TestEveryFrameIsRecordedWhole(t *testing.T) {
	dir := t.TempDir()
	lines := func() frame.Decoder { return &frame.Lines{} }
	looks := berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		_, err := fmt.Fprintf(socket, "%s\n", data.Bytes())
		return err
	})
	server := berthtest.Serve(t, berth.Frames(lines, recording(t, looks, record.Options{Dir: dir, Payload: true})))
	client := server.Dial()
	client.Send("one\ntwo\nthree\n")
	client.ExpectLine("one")
	client.ExpectLine("two")
	client.ExpectLine("three")
	client.Close()
	require.NoError(t, server.Close())
	var seen []string
	for _, event := range files(t, dir)[0].Events {
		if event.Kind == record.Data {
			seen = append(seen, string(event.Bytes))
		}
	}
	assert.Equal(t, []string{"one", "two", "three"}, seen)
}

// A recorded handler that makes room for another one of the same recorder is recorded once.
func TestARecorderWithinItselfWritesOnce(t *testing.T) {
	dir := t.TempDir()
	var recorded berth.Factory
	recorded = recording(t, berth.HandlerFunc(func(socket berth.Socket, data *berth.Buffer) error {
		_, err := fmt.Fprintf(socket, "%s\n", data.Next(data.Len()))
		if err == nil {
			err = socket.Become(recorded)
		}
		return err
	}), record.Options{Dir: dir, Payload: true})
	server := berthtest.Serve(t, recorded)
	client := server.Dial()
	for _, text := range []string{"one", "two", "three"} {
		client.Send(text)
		client.ExpectLine(text)
	}
	client.Close()
	require.NoError(t, server.Close())
	recordings := files(t, dir)
	require.Len(t, recordings, 1)
	var seen []string
	for _, event := range recordings[0].Events {
		if event.Kind == record.Data || event.Kind == record.Closed {
			seen = append(seen, string(event.Kind)+" "+string(event.Bytes))
		}
	}
	assert.Equal(t, []string{"data one", "data two", "data three", "closed "}, seen)
}
