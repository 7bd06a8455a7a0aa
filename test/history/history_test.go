package history

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/simnet"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// brief returns a history without times, numbers of operations and parts that differ from run to
// run.
func brief(records []Record) (lines []string) {
	for _, r := range records {
		r.At, r.ID, r.Of, r.Closing, r.Closed, r.Info = 0, 0, 0, nil, nil, nil
		lines = append(lines, strings.TrimSpace(strings.TrimPrefix(r.String(), "          0s")))
	}
	return lines
}

// sides returns the records of the peer's goroutine and those of the connection. Neither waits for
// the other.
func sides(records []Record) (peers, connections []Record) {
	for _, r := range records {
		switch r.What {
		case Dialed, Sending, Sent, Reading, Got:
			peers = append(peers, r)
		default:
			connections = append(connections, r)
		}
	}
	return peers, connections
}

// conversation runs one connection of an echo through the given factory, in a bubble, and returns
// its records.
func conversation(t *testing.T, factory tcpactor.Factory, talk func(r *Recorder, m *Mail, p *Peer)) (records []Record) {
	synctest.Test(t, func(t *testing.T) {
		system := tcpactor.NewSystem(setup.Silent()...)
		r, network := NewRecorder(), simnet.Listen(simnet.Options{})
		m := r.Mail(system)
		l, err := listener.Serve(system.Root, network, r.Watch(factory), listener.Options{})
		require.NoError(t, err)
		conn, err := network.Dial(context.Background())
		require.NoError(t, err)
		p := r.Peer(conn)
		synctest.Wait()
		talk(r, m, p)
		synctest.Wait()
		_ = conn.Close()
		synctest.Wait()
		require.NoError(t, l.Close())
		m.Close()
		records = r.Records()
		assert.Zero(t, r.Inside())
		time.Sleep(time.Second)
	})
	return records
}

var errEnough = errors.New("enough")

type echo struct{ socket chan *Socket }

func (e echo) Accepted(socket protocol.Socket) error { e.socket <- socket.(*Socket); return nil }

func (e echo) Data(socket protocol.Socket, b *protocol.Buffer) error {
	if b.Len() == 1 {
		return errEnough
	}
	_, err := socket.Forward(b)
	return err
}

func (e echo) Message(_ actor.Context, socket protocol.Socket, _ any) error {
	return socket.WriteOwned([]byte("asked"), func(error) { panic("in a completion") })
}

func (e echo) Closed(protocol.Socket, *protocol.Closed) {}

func (e echo) Receive(ctx actor.Context) {
	var err error
	switch m := ctx.Message().(type) {
	case *protocol.Accepted:
		err = e.Accepted(m.Socket)
	case *protocol.Data:
		err = e.Data(m.Socket, m.Buffer)
	}
	if err != nil {
		panic(err)
	}
}

func newEcho() echo { return echo{make(chan *Socket, 1)} }

func (e echo) handlers() tcpactor.Factory {
	return tcpactor.Handlers(func() tcpactor.Handler { return e })
}

func TestCallsOperationsAndThePeerAreRecordedInOrder(t *testing.T) {
	records := conversation(t, newEcho().handlers(), func(_ *Recorder, _ *Mail, p *Peer) {
		_, err := p.Write([]byte("hello"))
		require.NoError(t, err)
		synctest.Wait()
		_, err = io.ReadFull(p, make([]byte, 5))
		require.NoError(t, err)
		_, err = p.Write([]byte("x"))
		require.NoError(t, err)
	})
	peers, connections := sides(records)
	assert.Equal(t, []string{
		"conn 1 dialed",
		`conn 1 sending 5 bytes "hello"`, "conn 1 sent n=5",
		"conn 1 reading n=5", `conn 1 got 5 bytes "hello"`,
		`conn 1 sending 1 bytes "x"`, "conn 1 sent n=1",
	}, brief(peers))
	assert.Equal(t, []string{
		"conn 1 enter Accepted handler 1", "conn 1 leave Accepted",
		`conn 1 enter Data 5 bytes "hello"`,
		`conn 1 begin Write by -1 n=5 5 bytes "hello"`, "conn 1 end n=5",
		"conn 1 leave Data n=5",
		`conn 1 enter Data 1 bytes "x"`, "conn 1 leave Data (enough)",
		"conn 1 enter Closing", "conn 1 leave Closing",
		"conn 1 enter Closed", "conn 1 leave Closed",
	}, brief(connections))
	both := brief(records)
	assert.Less(t, slices.Index(both, `conn 1 sending 5 bytes "hello"`), slices.Index(both, `conn 1 enter Data 5 bytes "hello"`))
	assert.Less(t, slices.Index(both, `conn 1 begin Write by -1 n=5 5 bytes "hello"`), slices.Index(both, `conn 1 got 5 bytes "hello"`))
}

func TestANativeActorsCallsAreRecordedOnceEach(t *testing.T) {
	e := newEcho()
	records := conversation(t, tcpactor.Actors(func() actor.Actor { return e }), func(_ *Recorder, _ *Mail, p *Peer) {
		_, err := p.Write([]byte("x"))
		require.NoError(t, err)
	})
	_, connections := sides(records)
	assert.Equal(t, []string{
		`conn 1 enter Data 1 bytes "x"`, "conn 1 leave Data failed", "conn 1 enter Closing", "conn 1 leave Closing", "conn 1 enter Closed", "conn 1 leave Closed",
	}, brief(connections)[len(connections)-6:])
}

func TestACompletionIsACallUntilTheEndAndAnAnswerAfterIt(t *testing.T) {
	e := newEcho()
	records := conversation(t, e.handlers(), func(_ *Recorder, m *Mail, p *Peer) {
		socket := <-e.socket
		m.Task(socket.As(1))
		synctest.Wait()
		_ = p.Close()
		synctest.Wait()
		socket.As(2).Do(&protocol.Pause{}, func(error) {})
		m.Command(socket.As(2), &protocol.Write{Data: []byte("late")}, true)
	})
	all := brief(records)
	assert.Contains(t, all, "conn 1 begin Send by 1 by mail")
	assert.Contains(t, all, "conn 1 enter Completion")
	assert.Contains(t, all, "conn 1 leave Completion failed")
	assert.Contains(t, all, "conn 1 answer (berth: connection closed)")
	assert.Contains(t, all, `conn 1 begin Write by 2 by mail asked from 1 n=4 4 bytes "late"`)
	assert.Contains(t, all, "conn 1 answer by mail (dead letter)")
}

func TestEveryCommandByMailIsAnsweredToItsOperation(t *testing.T) {
	e := newEcho()
	records := conversation(t, e.handlers(), func(_ *Recorder, m *Mail, _ *Peer) {
		socket := (<-e.socket).As(1)
		for _, command := range []protocol.Command{
			&protocol.Write{}, &protocol.Pause{}, &protocol.Resume{Credit: 3}, &protocol.Become{Handler: e.handlers()}, &protocol.CloseWrite{}, &protocol.Detach{},
			&protocol.Unlink{PID: socket.PID()}, &protocol.Close{}, &protocol.Abort{},
		} {
			m.Command(socket, command, true)
		}
		m.Info(socket)
	})
	begun, answered := map[int]Op{}, map[Op]int{}
	for _, r := range records {
		switch r.What {
		case Begin:
			begun[r.ID] = r.Op
		case Answer:
			answered[begun[r.ID]]++
		default:
		}
	}
	assert.Equal(t, map[Op]int{Write: 1, Pause: 1, Resume: 1, CloseWrite: 1, Detach: 1, Become: 1, Other: 1, Close: 1, Abort: 1, Info: 1}, answered)
}

// needy asks for a byte more than it is shown, and consumes one.
type needy struct{ echo }

func (n needy) Data(_ protocol.Socket, b *protocol.Buffer) error {
	b.Discard(1)
	return b.Need(b.Len() + 1)
}

func TestTheHandlersOfABecomeAreRecordedAndWhatTheyNeed(t *testing.T) {
	e := echo{make(chan *Socket, 4)}
	to := tcpactor.Handlers(func() tcpactor.Handler { return needy{e} })
	records := conversation(t, e.handlers(), func(_ *Recorder, m *Mail, p *Peer) {
		socket := (<-e.socket).As(1)
		assert.Error(t, socket.Become(nil))
		assert.NoError(t, socket.Become(to))
		socket.Do(&protocol.Become{Handler: to}, func(error) {})
		m.Command(socket, &protocol.Become{Handler: to}, true)
		synctest.Wait()
		_, err := p.Write([]byte("abc"))
		require.NoError(t, err)
	})
	var becomes, of, needs []int
	for _, r := range records {
		switch {
		case r.Op == Become:
			becomes = append(becomes, r.ID)
		case r.What == Enter && r.Call == Accepted:
			of = append(of, r.Of)
			assert.Equal(t, len(of), r.Handler)
		case r.What == Leave && r.Call == Data:
			needs = append(needs, r.Need)
		case r.What == Enter && r.Call == Data:
			assert.Equal(t, 4, r.Handler)
		}
	}
	require.Len(t, becomes, 4)
	assert.Equal(t, append([]int{0}, becomes[1:]...), of, "the first one had no handler")
	assert.Equal(t, []int{3, 2}, needs, "of the bytes that came, and at the end")
}

func TestAWriteThatWaitsIsRecordedWithItsContext(t *testing.T) {
	e := newEcho()
	records := conversation(t, e.handlers(), func(_ *Recorder, _ *Mail, _ *Peer) {
		socket := (<-e.socket).As(1)
		ctx, cancel := context.WithCancel(context.Background())
		var waiting sync.WaitGroup
		waiting.Go(func() { _, _ = socket.WriteContext(ctx, make([]byte, 200_000)) })
		synctest.Wait()
		cancel()
		waiting.Wait()
		synctest.Wait()
		_, err := io.WriteString(socket.Writer(context.Background()), "")
		require.NoError(t, err)
	})
	all := brief(records)
	assert.Contains(t, all, `conn 1 begin Wait by 1 n=200000 200000 bytes "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"`)
	assert.Contains(t, all, "conn 1 end expired n=98304 (context canceled)", "the network's 64 KiB and the queue's 32 KiB")
	assert.Contains(t, all, "conn 1 begin Wait by 1")
}

// held is a socket whose write waits for more than its context.
type held struct {
	protocol.Socket
	may chan struct{}
}

func (h held) WriteContext(ctx context.Context, _ []byte) (int, error) {
	<-h.may
	return 0, ctx.Err()
}

// A write that ends with its context may end before the recorder hears of the context.
func TestTheEndOfAContextIsRecordedWhileItsWriteWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, may := NewRecorder(), make(chan struct{})
		socket := r.Socket(held{may: may}, r.dialed(&net.UnixAddr{Name: "a"}), 1)
		ctx, cancel := context.WithCancel(t.Context())
		var waiting sync.WaitGroup
		waiting.Go(func() { _, _ = socket.WriteContext(ctx, []byte("a")) })
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(may)
		waiting.Wait()
		assert.Equal(t, []string{`conn 1 begin Wait by 1 n=1 1 bytes "a"`, "conn 1 expired", "conn 1 end expired (context canceled)"}, brief(r.Records()))
	})
}

func TestARefusalIsRecordedWithTheRoomThatThereIs(t *testing.T) {
	e := newEcho()
	records := conversation(t, e.handlers(), func(r *Recorder, m *Mail, p *Peer) {
		r.Measure(func(client net.Addr) (int, bool) {
			assert.Equal(t, p.LocalAddr(), client)
			return 41, true
		})
		socket := (<-e.socket).As(1)
		var err error
		for err == nil {
			_, err = socket.Write(make([]byte, 1<<10))
			synctest.Wait()
		}
		assert.Equal(t, []net.Addr{p.LocalAddr()}, r.Moved())
		assert.Empty(t, r.Moved())
		m.Command(socket, &protocol.Write{Data: make([]byte, 1<<10), Token: true}, false)
		time.Sleep(time.Second) // until the writer is known to wait
		_, err = io.ReadFull(p, make([]byte, 64<<10))
		require.NoError(t, err)
	})
	all := brief(records)
	assert.Contains(t, all, "conn 1 end room=41 (berth: write buffer full)")
	assert.Contains(t, all, "conn 1 answer Write by mail token room=41 (berth: write buffer full)")
	assert.Contains(t, all, "conn 1 room told from 2")
}

func TestATokenComesBackWithTheAcknowledgement(t *testing.T) {
	e := newEcho()
	records := conversation(t, e.handlers(), func(_ *Recorder, m *Mail, _ *Peer) {
		socket := (<-e.socket).As(2)
		m.Command(socket, &protocol.Write{Data: []byte("fits"), Token: true}, true)
		m.Command(socket, &protocol.Write{Data: make([]byte, 100_000), Token: true}, true)
	})
	all := strings.Join(brief(records), "\n")
	assert.Contains(t, all, `begin Write by 2 by mail asked token from 1 n=4 4 bytes "fits"`)
	assert.Contains(t, all, "answer Write by mail\n")
	assert.Contains(t, all, "answer Write by mail token (berth: write larger than WriteBufferSize")
}

func TestBothEndsOfAConnectionFindTheirNumber(t *testing.T) {
	r := NewRecorder()
	addr := func(name string) net.Addr { return &net.UnixAddr{Name: name} }
	accepted := func(name string) int {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.number(addr(name), func(e *end) *bool { return &e.accepted })
	}
	assert.Equal(t, 1, r.dialed(addr("a")))
	assert.Equal(t, 2, r.dialed(addr("b")))
	assert.Equal(t, 2, accepted("b"))
	assert.Equal(t, 1, accepted("a"))
	assert.Equal(t, 3, accepted("a"), "the address is used again")
	assert.Equal(t, 3, r.dialed(addr("a")))
	assert.Equal(t, 4, accepted(""), "no address")
	assert.Equal(t, 5, accepted(""))
}

func TestARecordKeepsItsBytes(t *testing.T) {
	r := NewRecorder()
	small, large := []byte("small"), make([]byte, 100<<10)
	r.add(Record{What: Rest, Bytes: small})
	r.add(Record{What: Rest, Bytes: large})
	copy(small, "other")
	large[0] = 1
	assert.Equal(t, "small", string(r.Records()[0].Bytes))
	assert.Zero(t, r.Records()[1].Bytes[0])
	assert.Len(t, r.Records()[1].Bytes, len(large))
}

func TestEveryKindHasItsWord(t *testing.T) {
	assert.Equal(t, "resetting", Resetting.String())
	assert.Equal(t, "Closed", Closed.String())
	assert.Equal(t, "Other", Other.String())
}
