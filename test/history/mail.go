package history

import (
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"
)

// Task is a message for a handler.
type Task struct{ id int }

// Mail sends commands to connections' PIDs and records their results: answers and dead letters. Its
// own actors receive them.
type Mail struct {
	recorder *Recorder
	system   *actor.ActorSystem
	senders  [senders]*actor.PID // the one of an issuer: see from
	letters  *eventstream.Subscription
	pool     *tcpactor.Pool // of the senders
	infos    sync.WaitGroup // goroutines that wait for an Info, which has no acknowledgement

	mu    sync.Mutex
	conns map[int]int // of operations, to be found by their acknowledgement
}

// senders is how many actors share the mail of all issuers.
const senders = 2

// from returns the number of the actor that sends the mail of an issuer.
func from(by int) int { return 1 + (by%senders+senders)%senders }

// Mail returns a sender on the system. Close ends it.
func (r *Recorder) Mail(system *actor.ActorSystem) *Mail {
	m := &Mail{recorder: r, system: system, conns: map[int]int{}, pool: tcpactor.NewPool()}
	m.letters = system.EventStream.Subscribe(func(event any) {
		if letter, ok := event.(*actor.DeadLetterEvent); ok {
			m.returned(letter.Message)
		}
	})
	for i := range m.senders {
		m.senders[i] = system.Root.Spawn(actor.PropsFromFunc(
			func(ctx actor.Context) { m.answered(1+i, ctx.Message()) }, actor.WithDispatcher(m.pool)))
	}
	return m
}

// Close waits for Infos that are asked for, and stops the actors once they have read what they were
// told.
func (m *Mail) Close() {
	turn := seam.Wait()
	m.infos.Wait()
	turn.Over()
	for _, pid := range m.senders {
		turn := seam.Wait()
		_ = m.system.Root.PoisonFuture(pid).Wait()
		turn.Over()
	}
	m.system.EventStream.Unsubscribe(m.letters)
	m.pool.Close()
	defer seam.Wait().Over()
	m.pool.Wait()
}

// Command sends a command with an acknowledgement to the connection behind s, as the issuer of s.
// asked says that the answer is wanted. A Write that has a Token gets another one, and a sender.
// Otherwise it has no sender, and a refused Write becomes a dead letter.
func (m *Mail) Command(s *Socket, command protocol.Command, asked bool) {
	begin := Record{Op: opOf(command), Asked: asked}
	if asked {
		begin.From = from(s.by)
	}
	write, _ := command.(*protocol.Write)
	switch c := command.(type) {
	case *protocol.Write:
		begin.Bytes, begin.N = c.Data, len(c.Data)
		if begin.Token = c.Token != nil; begin.Token {
			begin.From = from(s.by)
		}
	case *protocol.Resume:
		begin.N = c.Credit
	}
	id := m.begin(s, begin)
	m.recorder.watchHandler(command, id)
	if begin.Token {
		write.Token = id
	}
	if asked || !begin.Token {
		*ackOf(command) = id
	}
	if begin.From > 0 {
		m.system.Root.RequestWithCustomSender(s.PID(), command, m.senders[begin.From-1])
	} else {
		m.system.Root.Send(s.PID(), command)
	}
}

// Task sends the handler behind s a message.
func (m *Mail) Task(s *Socket) {
	m.system.Root.Send(s.PID(), &Task{m.begin(s, Record{Op: Send})})
}

// patience is how long to wait for an Info. A handler may block for a while.
const patience = time.Hour

// Info asks the connection behind s for its Info.
func (m *Mail) Info(s *Socket) {
	id := m.begin(s, Record{Op: Info, Asked: true})
	future := m.system.Root.RequestFuture(s.PID(), &protocol.GetInfo{}, patience)
	m.infos.Add(1)
	seam.Go(func() {
		defer m.infos.Done()
		answer := Record{What: Answer, Op: Info, Mail: true, Conn: s.conn, ID: id}
		turn := seam.Wait()
		result, err := future.Result()
		turn.Over()
		answer.Info, _ = result.(*protocol.Info)
		if answer.Err = err; err == actor.ErrDeadLetter { //nolint:errorlint // it is returned as it is
			answer.Err = DeadLetter
		}
		m.recorder.add(answer)
	})
}

func (m *Mail) begin(s *Socket, record Record) int {
	record.What, record.Mail, record.Conn, record.By = Begin, true, s.conn, s.by
	id := m.recorder.begin(record)
	m.mu.Lock()
	m.conns[id] = s.conn
	m.mu.Unlock()
	return id
}

// answered notes an answer to a sender.
func (m *Mail) answered(sender int, message any) {
	switch answer := message.(type) {
	case *protocol.Done:
		m.answer(answer.Ack, Record{Err: answer.Err})
	case *protocol.Written:
		m.answer(answer.Ack, Record{Op: Write})
	case *protocol.WriteFailed:
		id := known(answer.Ack, answer.Token)
		m.answer(id, Record{Op: Write, Token: answer.Token == id, Err: answer.Err})
	case *protocol.WriteReady:
		m.recorder.add(Record{What: RoomTold, Conn: m.recorder.known(answer.PID), From: sender})
	}
}

// known returns the number of a Write, which is its acknowledgement or its token, or both.
func known(ack, token any) any {
	if ack == nil {
		return token
	}
	return ack
}

// returned notes a dead letter.
func (m *Mail) returned(message any) {
	switch letter := message.(type) {
	case *Task:
		m.answer(letter.id, Record{Op: Send, Err: DeadLetter})
	case *protocol.Write:
		m.answer(known(letter.Ack, letter.Token), Record{Err: DeadLetter})
	case protocol.Command:
		m.answer(*ackOf(letter), Record{Err: DeadLetter})
	}
}

// answer records an answer about an operation. Its Op is Write or Send if the message says so.
func (m *Mail) answer(ack any, said Record) {
	id, ok := ack.(int)
	if !ok {
		return // not ours
	}
	m.mu.Lock()
	conn, ok := m.conns[id]
	m.mu.Unlock()
	if ok {
		said.What, said.Conn, said.ID, said.Mail = Answer, conn, id, true
		said.Room = m.recorder.measureRefusal(conn, said.Err)
		m.recorder.add(said)
	}
}

// opOf and ackOf return the kind of a command, and the place of its acknowledgement.
func opOf(command protocol.Command) Op {
	switch command.(type) {
	case *protocol.Write:
		return Write
	case *protocol.Pause:
		return Pause
	case *protocol.Resume:
		return Resume
	case *protocol.Close:
		return Close
	case *protocol.CloseWrite:
		return CloseWrite
	case *protocol.Abort:
		return Abort
	case *protocol.Detach:
		return Detach
	case *protocol.Become:
		return Become
	default:
		return Other
	}
}

func ackOf(command protocol.Command) *any {
	switch c := command.(type) {
	case *protocol.Write:
		return &c.Ack
	case *protocol.Pause:
		return &c.Ack
	case *protocol.Resume:
		return &c.Ack
	case *protocol.Close:
		return &c.Ack
	case *protocol.CloseWrite:
		return &c.Ack
	case *protocol.Abort:
		return &c.Ack
	case *protocol.Detach:
		return &c.Ack
	case *protocol.Link:
		return &c.Ack
	case *protocol.Unlink:
		return &c.Ack
	case *protocol.Become:
		return &c.Ack
	case *protocol.StartTLS:
		return &c.Ack
	}
	return new(any)
}
