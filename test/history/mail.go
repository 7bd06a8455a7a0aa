package history

import (
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/eventstream"

	"github.com/go-berth/berth/protocol"
)

// Task is a message for a handler.
type Task struct{ id int }

// Mail sends commands to connections' PIDs and records what becomes of them: answers and dead letters. An actor of its own gets them.
type Mail struct {
	recorder *Recorder
	system   *actor.ActorSystem
	pid      *actor.PID
	letters  *eventstream.Subscription
	infos    sync.WaitGroup // goroutines that wait for an Info, which has no acknowledgement to know it by

	mu    sync.Mutex
	conns map[int]int // of operations, to be found by their acknowledgement
}

// Mail returns a sender on the system. Close ends it.
func (r *Recorder) Mail(system *actor.ActorSystem) *Mail {
	m := &Mail{recorder: r, system: system, conns: map[int]int{}}
	m.letters = system.EventStream.Subscribe(func(event any) {
		if letter, ok := event.(*actor.DeadLetterEvent); ok {
			m.returned(letter.Message)
		}
	})
	m.pid = system.Root.Spawn(actor.PropsFromFunc(func(ctx actor.Context) { m.answered(ctx.Message()) }))
	return m
}

// Close waits for Infos that are asked for, and stops the actor.
func (m *Mail) Close() {
	m.infos.Wait()
	m.system.EventStream.Unsubscribe(m.letters)
	_ = m.system.Root.StopFuture(m.pid).Wait()
}

// Command sends a command with an acknowledgement to the connection behind s, as the issuer that s is for. asked: the answer is wanted.
// Otherwise there is no sender, and a Write that is refused becomes a dead letter.
func (m *Mail) Command(s *Socket, command protocol.Command, asked bool) {
	begin := Record{Op: opOf(command), Asked: asked}
	switch c := command.(type) {
	case *protocol.Write:
		begin.Bytes, begin.N = c.Data, len(c.Data)
	case *protocol.Resume:
		begin.N = c.Credit
	}
	*ackOf(command) = m.begin(s, begin)
	if asked {
		m.system.Root.RequestWithCustomSender(s.PID(), command, m.pid)
	} else {
		m.system.Root.Send(s.PID(), command)
	}
}

// Task sends the handler behind s a message.
func (m *Mail) Task(s *Socket) {
	m.system.Root.Send(s.PID(), &Task{m.begin(s, Record{Op: Send})})
}

// patience is how long an Info is waited for. A handler may block for a while.
const patience = time.Hour

// Info asks the connection behind s for its Info.
func (m *Mail) Info(s *Socket) {
	id := m.begin(s, Record{Op: Info, Asked: true})
	future := m.system.Root.RequestFuture(s.PID(), &protocol.GetInfo{}, patience)
	m.infos.Go(func() {
		answer := Record{What: Answer, Op: Info, Mail: true, Conn: s.conn, ID: id}
		result, err := future.Result()
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

func (m *Mail) answered(message any) {
	switch answer := message.(type) {
	case *protocol.Done:
		m.answer(answer.Ack, NoOp, answer.Err)
	case *protocol.Written:
		m.answer(answer.Ack, Write, nil)
	case *protocol.WriteFailed:
		m.answer(answer.Ack, Write, answer.Err)
	}
}

// returned takes note of a dead letter.
func (m *Mail) returned(message any) {
	switch letter := message.(type) {
	case *Task:
		m.answer(letter.id, Send, DeadLetter)
	case protocol.Command:
		m.answer(*ackOf(letter), NoOp, DeadLetter)
	}
}

// answer records what was said about an operation. kind is Write or Send where the word says so.
func (m *Mail) answer(ack any, kind Op, err error) {
	id, ok := ack.(int)
	if !ok {
		return // not ours
	}
	m.mu.Lock()
	conn, ok := m.conns[id]
	m.mu.Unlock()
	if ok {
		m.recorder.add(Record{What: Answer, Op: kind, Conn: conn, ID: id, Mail: true, Err: err})
	}
}

// opOf and ackOf return what a command is, and where its acknowledgement lies.
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
	case *protocol.Uncount:
		return Uncount
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
	case *protocol.Uncount:
		return &c.Ack
	case *protocol.Link:
		return &c.Ack
	case *protocol.Unlink:
		return &c.Ack
	}
	return new(any)
}
