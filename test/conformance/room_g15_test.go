package conformance

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/protocol"
)

// G15: a write is refused for lack of room only while the kernel takes no more. After a refusal one
// Writable with Ready true follows once there is room again; a sender by PID gets WriteReady.

// fill writes until a write is refused for lack of room, and returns how many bytes were accepted.
func (t *tape) fill(piece string) (n int) {
	for {
		err := t.say(piece)
		if err != nil {
			assert.True(t.w.t, errors.Is(err, protocol.ErrWriteBufferFull) || errors.Is(err, protocol.ErrWriteQueueFull), "%v", err)
			return n
		}
		n += len(piece)
	}
}

// The queue may fill and drain while the refused handler still runs: the handler must be told all
// the same.
func TestRoomIsToldHoweverLongTheRefusedHandlerRuns(t *testing.T) {
	for _, pause := range []time.Duration{0, 10 * time.Microsecond, time.Millisecond, 5 * time.Millisecond} {
		for what, o := range map[string]connection.Options{
			"bytes":      {WriteQueueSize: -1},
			"count":      {WriteBufferSize: -1},
			"high water": {HighWater: 30 << 10, LowWater: 10 << 10},
		} {
			t.Run(fmt.Sprint(what, " ", pause), func(t *testing.T) {
				eachNetwork(t, func(t *testing.T, w *world) {
					o.WriteTimeout = -1
					sizes := make(chan int, 1)
					s := w.serve(script{
						message: func(t *tape, _ actor.Context, _ any) error {
							n := t.fill(strings.Repeat("x", 1000))
							sizes <- n
							time.Sleep(pause) // the handler computes
							return nil
						},
						writable: func(t *tape, ready bool) error {
							if ready {
								return t.socket.Close()
							}
							return nil
						},
					}, o)
					for range 5 {
						p, tape := s.connect()
						w.system.Root.Send(tape.socket.PID(), "go")
						size := <-sizes
						assert.Len(t, p.rest(), size)
						p.close()
						tape.ended()
					}
				})
			})
		}
	}
}

func TestEveryRefusalIsFollowedByReady(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		p, tape := w.serve(script{}, connection.Options{WriteTimeout: -1}).connect()
		for round := range 5 {
			n := tape.fill("some bytes") // by another goroutine than the handler's
			p.take(n)
			assert.False(t, tape.nth(2*round+1, "writable").flag)
			assert.True(t, tape.nth(2*round+2, "writable").flag)
		}
		w.settle()
		assert.Equal(t, 10, tape.count("writable"), "once for each time")
	})
}

func TestASenderWhoseWriteWasRefusedIsToldOfRoom(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		o := roomy()
		o.WriteQueueSize = 4
		p, tape := w.open(factory, script{}, only(o)).connect()
		tape.stall()
		for range 3 {
			require.NoError(t, tape.say("x"))
		}
		askers := []*asker{w.asker(), w.asker()}
		for _, a := range askers {
			for range 2 {
				assert.Equal(t, &protocol.WriteFailed{Token: "token", Err: protocol.ErrWriteQueueFull},
					a.ask(tape.socket.PID(), &protocol.Write{Data: []byte("123"), Token: "token"}))
			}
		}
		p.take(stallSize + 3)
		for _, a := range askers {
			assert.Equal(t, &protocol.WriteReady{PID: tape.socket.PID()}, a.answer())
		}
		w.settle()
		for _, a := range askers {
			assert.Empty(t, a.answers, "once")
		}
	})
}

// bursts are ways to write many lines at once.
var bursts = map[string]func(w *world, t *tape, lines []string){
	"Socket": func(w *world, t *tape, lines []string) {
		for i, line := range lines {
			require.NoError(w.t, t.say(line), "line %d", i)
		}
	},
	"PID": func(w *world, t *tape, lines []string) {
		for _, line := range lines {
			w.system.Root.Send(t.socket.PID(), &protocol.Write{Data: []byte(line)})
			t.book(len(line))
		}
	},
	"handler": func(w *world, t *tape, lines []string) { w.system.Root.Send(t.socket.PID(), lines) },
}

func sayLines(t *tape, _ actor.Context, message any) error {
	for i, line := range message.([]string) {
		if err := t.say(line); err != nil {
			return fmt.Errorf("line %d: %w", i, err)
		}
	}
	return nil
}

func TestNoPolicyPunishesAHealthyPeer(t *testing.T) {
	var lines []string
	for i := range 1000 {
		lines = append(lines, fmt.Sprintf("line %d\n", i))
	}
	for policy, slow := range map[string]connection.SlowPolicy{
		"refuse": connection.SlowRefuse, "close": connection.SlowClose, "drop": connection.SlowDropNewest,
	} {
		for way, burst := range bursts {
			t.Run(policy+" "+way, func(t *testing.T) {
				eachNetwork(t, func(t *testing.T, w *world) {
					s := w.serve(script{message: sayLines}, connection.Options{SlowConsumer: slow})
					for _, n := range []int{65, 200, 1000} {
						if n == 1000 && w.network.family == "unix" {
							continue // each piece costs the kernel 768 bytes of 208 KiB: a peer that comes to read a little late is slow
						}
						p, tape := s.connect()
						burst(w, tape, lines[:n])
						p.expect(strings.Join(lines[:n], ""))
						assert.Zero(t, tape.socket.Info().Stats.DroppedWrites)
						assert.Equal(t, protocol.StateOpen, tape.socket.Info().State)
						p.close()
						tape.ended()
					}
				})
			})
		}
	}
}

// 64 requests in one piece, each with an answer of 1,000 bytes: twice the default WriteBufferSize.
func TestAPipelinedServerAnswersWithDefaultLimits(t *testing.T) {
	eachForm(t, func(t *testing.T, w *world, factory factoryOf) {
		answer := strings.Repeat("a", 1000)
		p, _ := w.open(factory, script{data: func(t *tape, b *protocol.Buffer) error {
			for b.Len() > 0 {
				b.Discard(1)
				if err := t.say(answer); err != nil {
					return err
				}
			}
			return nil
		}}, only(connection.Options{SlowConsumer: connection.SlowClose})).connect()
		for range 10 {
			p.send(strings.Repeat("?", 64))
			p.expect(strings.Repeat(answer, 64))
		}
	})
}

// Two connections are joined by Writable alone, as in a proxy. Each writes the bytes that the other
// reads. If a write is refused, reading stops until the other is writable.
func TestTwoConnectionsJoinedByWritableAloneMoveEverything(t *testing.T) {
	eachNetwork(t, func(t *testing.T, w *world) {
		var mu sync.Mutex
		joined := map[*tape]*tape{}
		other := func(t *tape) *tape {
			mu.Lock()
			defer mu.Unlock()
			return joined[t]
		}
		s := w.serve(script{
			data: func(t *tape, b *protocol.Buffer) error {
				to := other(t)
				if to == nil {
					return nil
				}
				t.socket.Pause() // before the write: the other's Writable may come before this call goes on
				n, err := to.socket.Forward(b)
				to.book(n)
				if errors.Is(err, protocol.ErrWriteBufferFull) || errors.Is(err, protocol.ErrWriteQueueFull) {
					return nil
				}
				t.socket.Resume()
				return err
			},
			writable: func(t *tape, ready bool) error {
				if ready {
					other(t).socket.Resume()
				}
				return nil
			},
		}, connection.Options{ReadGate: connection.GateOff, WriteTimeout: -1})
		p, one := s.connect()
		q, two := s.connect()
		mu.Lock()
		joined[one], joined[two] = two, one
		mu.Unlock()
		sent := pattern(3 << 20)
		var ends sync.WaitGroup
		for from, to := range map[*peer]*peer{p: q, q: p} {
			ends.Go(func() { _, _ = io.WriteString(from.Conn, sent) })
			ends.Go(func() {
				to.patiently()
				b := make([]byte, len(sent))
				n, err := io.ReadFull(to.Conn, b)
				assert.NoError(t, err, "after %d bytes", n)
				same(t, sent, string(b))
			})
		}
		ends.Wait()
	})
}
