package berthtest_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/berthtest"
)

// scripts are what a handler may do, with the answers it gets. The fake must answer as a connection
// does.
var scripts = map[string]func(t *testing.T, socket berth.Socket) []any{
	"every write": everyWrite,
	"after Close": func(t *testing.T, s berth.Socket) []any {
		err := s.Close()
		return append(everyWrite(t, s), err, s.Info().Reason)
	},
	"after CloseWrite": func(t *testing.T, s berth.Socket) []any {
		s.CloseWrite()
		return append(everyWrite(t, s), s.Info().Reason)
	},
	"after Abort": func(t *testing.T, s berth.Socket) []any {
		s.Abort()
		return append(everyWrite(t, s), s.Info().Reason)
	},
	"after two ends": func(t *testing.T, s berth.Socket) []any {
		_ = s.Close()
		s.Abort()
		return append(everyWrite(t, s), s.Info().Reason)
	},
	"values": func(_ *testing.T, s berth.Socket) []any {
		before := s.Value()
		s.SetValue(7)
		return []any{before, s.Value(), s.Restarts(), s.Info().Paused, s.Info().State}
	},
	"bad files": func(t *testing.T, s berth.Socket) []any {
		n, err := s.Forward(nil)
		return []any{n, err, s.WriteFile(nil, 0, 1, nil), s.WriteFile(new(os.File), 0, 1, nil), s.WriteFile(file(t, "x"), 0, -1, nil)}
	},
}

// everyWrite writes in every way and returns the answers.
func everyWrite(t *testing.T, s berth.Socket) (answers []any) {
	n, err := s.Write([]byte("a"))
	answers = append(answers, n, err)
	n, err = s.Write(nil)
	answers = append(answers, n, err)
	n, err = s.WriteContext(t.Context(), []byte("bc"))
	answers = append(answers, n, err)
	ended, end := context.WithCancel(t.Context())
	end()
	n, err = s.WriteContext(ended, []byte("d"))
	answers = append(answers, n, err)
	var buffer berthtest.Buffer
	n, err = s.Forward(buffer.Feed("efg"))
	return append(answers, n, err, buffer.Len(),
		s.WriteOwned([]byte("h"), nil),
		s.WriteBuffers([][]byte{[]byte("i"), nil, []byte("j")}, nil),
		s.WriteFile(file(t, "kl"), 1, 1, nil))
}

func TestTheFakeAnswersAsAConnection(t *testing.T) {
	for name, script := range scripts {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				answers := make(chan []any, 1)
				server := berthtest.Serve(t, berth.Functions[int]{
					Accept: func(socket berth.Socket) (int, error) {
						answers <- script(t, socket)
						return 0, nil
					},
					Read: func(int, berth.Socket, *berth.Buffer) (int, error) { return 0, nil },
				})
				server.Dial()
				fake := berthtest.NewSocket(t)
				assert.Equal(t, fmt.Sprint(<-answers), fmt.Sprint(script(t, fake)))
			})
		})
	}
}

// Each completion gets the same error. Those of writes and of commands have no order between them.
func TestTheFakeCompletesAsAConnection(t *testing.T) {
	script := func(socket berth.Socket, flush func()) (answers []string) {
		completed := make(chan string, 20)
		done := func(name string) func(error) {
			return func(err error) { completed <- fmt.Sprint(name, " ", err) }
		}
		assert.NoError(t, socket.WriteOwned([]byte("a"), done("write")))
		socket.Do(&berth.Write{Data: []byte("b")}, done("write by Do"))
		socket.Do(&berth.Pause{}, done("pause"))
		socket.Do(&berth.Resume{}, done("resume"))
		socket.Do(nil, done("no command"))
		socket.Do((*berth.Write)(nil), done("no write"))
		socket.Do((*berth.Close)(nil), done("no close"))
		flush()
		socket.Do(&berth.Close{}, done("close"))
		socket.Do(&berth.Write{Data: []byte("c")}, done("late write"))
		flush()
		close(completed)
		for answer := range completed {
			answers = append(answers, answer)
		}
		slices.Sort(answers)
		return answers
	}
	synctest.Test(t, func(t *testing.T) {
		var options berth.Options
		options.Connection.KeepOpenOnPeerClosed = true
		server := berthtest.Serve(t, berth.HandlerFunc(echo), berthtest.With(options))
		server.Dial().CloseWrite() // a Close waits for it
		synctest.Wait()
		sockets := server.Connections()
		require.Len(t, sockets, 1)
		want := script(sockets[0], synctest.Wait)
		fake := berthtest.NewSocket(t)
		assert.Equal(t, want, script(fake, func() { fake.Flush() }))
	})
}
