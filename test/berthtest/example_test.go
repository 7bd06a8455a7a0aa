package berthtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/test/berthtest"
)

// shout answers each line in capitals.
func shout(socket berth.Socket, data *berth.Buffer) error {
	for {
		line, ok := data.ReadLine()
		if !ok {
			return nil
		}
		if len(line) == 0 {
			return errors.New("an empty line")
		}
		if _, err := socket.Write(append(bytes.ToUpper(line), '\n')); err != nil {
			return err
		}
	}
}

// inTest runs an example with a t, as a test has one, and prints the failures.
func inTest(test func(t testing.TB)) {
	for _, failure := range run(test) {
		fmt.Println(failure)
	}
}

func ExampleServe() {
	inTest(func(t testing.TB) {
		server := berthtest.Serve(t, berth.HandlerFunc(shout))
		client := server.Dial()
		client.Send("hello\nwor")
		client.ExpectLine("HELLO")
		client.Send("ld\n")
		client.ExpectLine("WORLD")
		client.CloseWrite()
		client.ExpectEOF()
	})
	// Output:
}

// The sentence of the failure tells what came instead.
func ExampleClient_ExpectLine() {
	inTest(func(t testing.TB) {
		client := berthtest.Serve(t, berth.HandlerFunc(shout)).Dial()
		client.Send("help\n")
		client.ExpectLine("HELLO")
	})
	// Output: berthtest: expected the line "HELLO", but the line "HELP" came
}

func ExampleServer_ExpectFailure() {
	inTest(func(t testing.TB) {
		server := berthtest.Serve(t, berth.HandlerFunc(shout))
		client := server.Dial()
		client.Send("\n")
		fmt.Println("the handler failed:", server.ExpectFailure())
		fmt.Println("the connection ended:", client.ExpectClosed())
	})
	// Output:
	// the handler failed: an empty line
	// the connection ended: handler error
}

func ExampleSocket() {
	inTest(func(t testing.TB) {
		socket, data := berthtest.NewSocket(t), new(berthtest.Buffer)
		_ = shout(socket, data.Feed("one\ntw"))
		_ = shout(socket, data.Feed("o\n"))
		socket.Refuse(berth.ErrWriteBufferFull) // the peer does not read
		err := shout(socket, data.Feed("three\n"))
		for _, call := range socket.Calls() {
			fmt.Println(call)
		}
		fmt.Println("the handler returned:", err)
	})
	// Output:
	// Write "ONE\n"
	// Write "TWO\n"
	// Write "THREE\n": berth: write buffer full
	// the handler returned: berth: write buffer full
}

func ExampleSocket_Flush() {
	inTest(func(t testing.TB) {
		socket := berthtest.NewSocket(t)
		_ = socket.WriteOwned([]byte("the last word"), func(err error) {
			fmt.Println("written:", err)
			_ = socket.Close()
		})
		fmt.Println("closed:", socket.Closed())
		socket.Flush()
		fmt.Println("closed:", socket.Closed())
	})
	// Output:
	// closed: false
	// written: <nil>
	// closed: true
}

func ExampleBuffer() {
	var data berthtest.Buffer
	shown := data.Feed("a line\nand a ha")
	line, _ := shown.ReadLine()
	fmt.Printf("%q\n", line)
	fmt.Printf("%q stays\n", shown.Bytes())
	shown = data.Feed("lf\n")
	line, _ = shown.ReadLine()
	fmt.Printf("%q\n", line)
	fmt.Println(data.End().AtEOF())
	// Output:
	// "a line"
	// "and a ha" stays
	// "and a half"
	// true
}

func ExampleSplits() {
	inTest(func(t testing.TB) {
		berthtest.Splits(t, "one\ntwo\n", func(chunks []string) {
			socket, data := berthtest.NewSocket(t), new(berthtest.Buffer)
			for _, chunk := range chunks {
				_ = shout(socket, data.Feed(chunk))
			}
			if got := socket.Written(); got != "ONE\nTWO\n" {
				t.Errorf("got %q", got)
			}
		})
	})
	// Output:
}

// Two clients ask for one seat, in a hundred orders of everything that this sets off. A handler
// that asks the room's actor whether the seat is free, and takes it when the answer comes, is found
// to give it away twice: "berthtest: order 3 fails".
func ExampleOrders() {
	var t *testing.T // the test's
	berthtest.Orders(t, 100, func(w *berthtest.World) {
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
