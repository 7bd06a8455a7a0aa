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

// hastyRoom tells whether its seat is free, and lets it be taken.
type hastyRoom struct{ taken int }

type (
	isFree struct{}
	free   struct{ yes bool }
	take   struct{}
)

func (r *hastyRoom) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *isFree:
		ctx.Respond(&free{r.taken == 0})
	case *take:
		r.taken++
	}
}

// hasty asks the room when its client says something, and takes the seat when it gets the answer.
// Another one may have asked in between.
type hasty struct{ *visitor }

func (h hasty) Data(socket berth.Socket, data *berth.Buffer) error {
	data.Discard(data.Len())
	h.system.Root.RequestWithCustomSender(h.room, &isFree{}, socket.PID())
	return nil
}

func (h hasty) Message(ctx actor.Context, socket berth.Socket, message any) error {
	answer, ok := message.(*free)
	if ok && answer.yes {
		h.system.Root.Send(h.room, &take{})
	}
	return h.visitor.Message(ctx, socket, &seated{ok && answer.yes})
}

// twoHasty has two clients ask for the one seat.
func twoHasty(w *berthtest.World) {
	seat := w.System.Root.Spawn(actor.PropsFromProducer(func() actor.Actor { return &hastyRoom{} }))
	defer w.System.Root.Stop(seat)
	server := w.Serve(berth.Handlers(func() berth.Handler { return hasty{&visitor{w.System, seat}} }))
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

func TestOrdersFindARaceBetweenTwoHandlersAndAnActor(t *testing.T) {
	if os.Getenv("BERTHTEST_RACE") != "" { // below: it must fail
		berthtest.Orders(t, 100, twoHasty)
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
