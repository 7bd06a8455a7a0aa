package berthtest_test

import (
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/berthtest"
)

// docs/testing.md shows the tests of this file.

// sums answers each number with the sum of all there were.
type sums struct{ sum int }

func (s *sums) Data(socket berth.Socket, data *berth.Buffer) error {
	for {
		line, ok := data.ReadLine()
		if !ok {
			return nil
		}
		n, err := strconv.Atoi(string(line))
		if err != nil {
			return err
		}
		s.sum += n
		if _, err := fmt.Fprintln(socket, s.sum); err != nil {
			return err
		}
	}
}

func newSums() berth.Handler { return &sums{} }

func TestSums(t *testing.T) {
	server := berthtest.Serve(t, berth.Handlers(newSums))
	client := server.Dial()
	client.Send("1\n2\n")
	client.ExpectLine("1")
	client.ExpectLine("3")
	client.CloseWrite()
	client.ExpectEOF()
}

func TestAnIdleClientIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var options berth.Options
		options.Connection.IdleTimeout = time.Hour
		server := berthtest.Serve(t, berth.Handlers(newSums), berthtest.With(options))
		client := server.Dial()
		client.ExpectNothing(59 * time.Minute)
		if reason := client.ExpectClosed(); reason != berth.ReasonIdleTimeout {
			t.Errorf("it ended by %v", reason)
		}
	})
}

func TestWhatIsNoNumberIsAFailure(t *testing.T) {
	server := berthtest.Serve(t, berth.Handlers(newSums))
	client := server.Dial()
	client.Send("one\n")
	if err := server.ExpectFailure(); !errors.Is(err, strconv.ErrSyntax) {
		t.Errorf("it failed with %v", err)
	}
	client.ExpectEOF()
}

func TestSumsOfEverySplit(t *testing.T) {
	berthtest.Splits(t, "1\n20\n300\n", func(chunks []string) {
		handler, socket := newSums(), berthtest.NewSocket(t)
		var data berthtest.Buffer
		for _, chunk := range chunks {
			if err := handler.Data(socket, data.Feed(chunk)); err != nil {
				t.Error(err)
			}
		}
		if got := socket.Written(); got != "1\n21\n321\n" {
			t.Errorf("it answered %q", got)
		}
	})
}

func TestSumsOfAPeerThatDoesNotRead(t *testing.T) {
	handler, socket := newSums(), berthtest.NewSocket(t)
	var data berthtest.Buffer
	socket.RefuseAfter(1, berth.ErrWriteBufferFull)
	err := handler.Data(socket, data.Feed("1\n2\n3\n"))
	if !errors.Is(err, berth.ErrWriteBufferFull) {
		t.Errorf("it returned %v", err)
	}
	if rest := string(data.Bytes()); rest != "3\n" {
		t.Errorf("it left %q", rest)
	}
}

// room is an actor with one seat. A visitor that asks for it is told whether it has got it.
type room struct{ taken bool }

type sit struct{}

type seated struct{ yes bool }

func (r *room) Receive(ctx actor.Context) {
	if _, ok := ctx.Message().(*sit); ok {
		ctx.Respond(&seated{!r.taken})
		r.taken = true
	}
}

func newRoom() actor.Actor { return &room{} }

// visitor asks the room when its client says something.
type visitor struct {
	system *actor.ActorSystem
	room   *actor.PID
}

func (v *visitor) Data(socket berth.Socket, data *berth.Buffer) error {
	data.Discard(data.Len())
	v.system.Root.RequestWithCustomSender(v.room, &sit{}, socket.PID())
	return nil
}

func (v *visitor) Message(_ actor.Context, socket berth.Socket, message any) error {
	text := "full\n"
	if answer, ok := message.(*seated); ok && answer.yes {
		text = "welcome\n"
	}
	_, err := socket.Write([]byte(text))
	return err
}

func visitors(system *actor.ActorSystem, room *actor.PID) berth.Factory {
	return berth.Handlers(func() berth.Handler { return &visitor{system, room} })
}

func TestTheSeatIsTakenOnce(t *testing.T) {
	berthtest.Orders(t, 30, func(w *berthtest.World) {
		seat := w.System.Root.Spawn(actor.PropsFromProducer(newRoom))
		defer w.System.Root.Stop(seat)
		server := w.Serve(visitors(w.System, seat))
		answers := make([]string, 2)
		for i := range answers {
			w.Go(func() {
				client := server.Dial()
				client.Send("may I sit?\n")
				answers[i] = client.ReadLine()
			})
		}
		w.Wait()
		if answers[0] == answers[1] {
			w.Errorf("both are told: %s", answers[0])
		}
	})
}

func TestTheGuideShowsTheseTests(t *testing.T) {
	guide, err := os.ReadFile("../../docs/testing.md")
	require.NoError(t, err)
	code, err := os.ReadFile("guide_test.go")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(guide), -1)
	assert.Len(t, blocks, 8)
	for _, block := range blocks {
		assert.Contains(t, strings.ReplaceAll(string(code), "\r\n", "\n"), block[1])
	}
}

// The guide names every option and every method of a client, and no other.
func TestTheGuideNamesWhatThereIs(t *testing.T) {
	guide, err := os.ReadFile("../../docs/testing.md")
	require.NoError(t, err)
	for _, source := range []struct{ file, declared string }{
		{"options.go", `(?m)^func ([A-Z]\w*)\(`},
		{"client.go", `(?m)^func \(c \*Client\) ([A-Z]\w*)\(`},
		{"expect.go", `(?m)^func \(c \*Client\) ([A-Z]\w*)\(`},
		{"socket_control.go", `(?m)^func \(s \*Socket\) ([A-Z]\w*)\(`},
		{"socket_record.go", `(?m)^func \(s \*Socket\) ([A-Z]\w*)\(`},
	} {
		code, err := os.ReadFile(source.file)
		require.NoError(t, err)
		names := regexp.MustCompile(source.declared).FindAllStringSubmatch(string(code), -1)
		assert.NotEmpty(t, names, source.file)
		for _, name := range names {
			assert.Regexp(t, "`"+name[1]+"[`(]", string(guide), source.file)
		}
	}
}
