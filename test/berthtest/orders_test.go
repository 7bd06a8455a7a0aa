package berthtest_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/berthtest"
)

// room is an actor with one seat. A visitor asks whether it is free, and takes it.
type room struct{ taken int }

type (
	isFree struct{}
	free   struct{ yes bool }
	take   struct{}
	sit    struct{}
)

func (r *room) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *isFree:
		ctx.Respond(&free{r.taken == 0})
	case *take:
		r.taken++
	case *sit:
		ctx.Respond(&free{r.taken == 0})
		r.taken++
	}
}

func newRoom() actor.Actor { return &room{} }

// visitors are handlers that take the seat as they ask for it.
func visitors(system *actor.ActorSystem, seat *actor.PID) berth.Factory {
	return berth.Handlers(func() berth.Handler { return &visitor{system, seat, true} })
}

// visitor asks the room when its client says something. Where it asks first and takes the seat when
// it gets the answer, another one may have asked in between.
type visitor struct {
	system *actor.ActorSystem
	room   *actor.PID
	atOnce bool
}

func (v *visitor) Data(socket berth.Socket, data *berth.Buffer) error {
	for {
		if _, ok := data.ReadLine(); !ok {
			return nil
		}
		var question any = &isFree{}
		if v.atOnce {
			question = &sit{}
		}
		v.system.Root.RequestWithCustomSender(v.room, question, socket.PID())
	}
}

func (v *visitor) Message(_ actor.Context, socket berth.Socket, message any) error {
	answer, ok := message.(*free)
	if !ok {
		return nil
	}
	text := "full\n"
	if answer.yes {
		text = "welcome\n"
		if !v.atOnce {
			v.system.Root.Send(v.room, &take{})
		}
	}
	_, err := socket.Write([]byte(text))
	return err
}

// twoVisitors has two clients ask for the one seat.
func twoVisitors(atOnce bool) func(w *berthtest.World) {
	return func(w *berthtest.World) {
		seat := w.System.Root.Spawn(actor.PropsFromProducer(newRoom))
		defer w.System.Root.Stop(seat)
		server := w.Serve(berth.Handlers(func() berth.Handler { return &visitor{w.System, seat, atOnce} }))
		answers := make([]string, 2)
		for i := range answers {
			w.Go(func() {
				client := server.Dial()
				client.Send("may I sit?\n")
				answers[i] = client.ReadLine()
			})
		}
		w.Wait()
		slices.Sort(answers)
		if got := strings.Join(answers, " "); got != "full welcome" {
			w.Errorf("one seat, and two visitors are told: %s", got)
		}
	}
}

func TestOrdersFindARaceBetweenTwoHandlersAndAnActor(t *testing.T) {
	if os.Getenv("BERTHTEST_RACE") != "" { // below: it must fail
		berthtest.Orders(t, 100, twoVisitors(false))
		return
	}
	run := func(order string) string {
		command := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
		command.Env = append(os.Environ(), "BERTHTEST_RACE=1", berthtest.OrderVariable+"="+order)
		output, err := command.CombinedOutput()
		require.Error(t, err, "no order fails")
		return string(output)
	}
	output := run("")
	assert.Contains(t, output, "one seat, and two visitors are told: welcome welcome")
	var order int
	_, after, _ := strings.Cut(output, "berthtest: order ")
	_, err := fmt.Sscanf(after, "%d fails; again: BERTHTEST_ORDER=", &order)
	require.NoError(t, err, output)
	assert.Contains(t, run(fmt.Sprint(order)), "welcome welcome", "the order alone")
}

func TestOrdersPassWhereThereIsNoRace(t *testing.T) {
	berthtest.Orders(t, 30, twoVisitors(true))
}

func TestAnOrderIsAlwaysTheSame(t *testing.T) {
	var stories []string
	for range 2 {
		story := ""
		berthtest.Orders(t, 5, func(w *berthtest.World) {
			server := w.Serve(berth.HandlerFunc(echo))
			for i := range 3 {
				w.Go(func() {
					client := server.Dial()
					client.Send(fmt.Sprintln(i))
					story += client.ReadLine()
				})
			}
			w.Wait()
			story += "|"
		})
		stories = append(stories, story)
	}
	assert.Equal(t, stories[0], stories[1])
	assert.Len(t, stories[0], 20)
	first, rest, _ := strings.Cut(stories[0], "|")
	assert.NotEqual(t, strings.Repeat(first+"|", 4), rest, "all orders are the same")
}
