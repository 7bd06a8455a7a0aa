package history

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth/internal/seam"
	"github.com/go-berth/berth/protocol"
)

// Socket is a handle that records its calls, as those of one issuer.
type Socket struct {
	protocol.Socket // methods that are not recorded are its own
	recorder        *Recorder
	conn, by        int
}

var _ protocol.Socket = (*Socket)(nil)

// Socket returns the handle of a connection for an issuer.
func (r *Recorder) Socket(socket protocol.Socket, conn, by int) *Socket {
	return &Socket{Socket: socket, recorder: r, conn: conn, by: by}
}

// As returns the handle for another issuer.
func (s *Socket) As(by int) *Socket { return s.recorder.Socket(s.Socket, s.conn, by) }

// Conn returns the connection's number.
func (s *Socket) Conn() int { return s.conn }

// PID implements protocol.Socket.
func (s *Socket) PID() *actor.PID { return s.Socket.PID() }

// LocalAddr implements protocol.Socket.
func (s *Socket) LocalAddr() net.Addr { return s.Socket.LocalAddr() }

// RemoteAddr implements protocol.Socket.
func (s *Socket) RemoteAddr() net.Addr { return s.Socket.RemoteAddr() }

func (s *Socket) begin(op Op, record Record) int {
	record.What, record.Op, record.Conn, record.By = Begin, op, s.conn, s.by
	return s.recorder.begin(record)
}

func (s *Socket) end(id, n int, err error) {
	s.recorder.add(Record{What: End, Conn: s.conn, ID: id, N: n, Err: err, Room: s.recorder.measureRefusal(s.conn, err)})
}

// write records one write around the call that does it.
func (s *Socket) write(p []byte, done func(error), write func(done func(error)) (int, error)) (int, error) {
	id := s.begin(Write, Record{Bytes: p, N: len(p), Asked: done != nil})
	n, err := write(s.completion(id, done))
	s.end(id, n, err)
	return n, err
}

// Write implements protocol.Socket.
func (s *Socket) Write(p []byte) (int, error) {
	return s.write(p, nil, func(func(error)) (int, error) { return s.Socket.Write(p) })
}

// WriteContext implements protocol.Socket.
func (s *Socket) WriteContext(ctx context.Context, p []byte) (int, error) {
	id := s.begin(Wait, Record{Bytes: p, N: len(p)})
	turn := seam.Wait()
	stop := context.AfterFunc(ctx, func() {
		turn.Over()
		s.recorder.add(Record{What: Expired, Conn: s.conn, ID: id})
	})
	n, err := s.Socket.WriteContext(ctx, p)
	stop()
	s.recorder.add(Record{What: End, Conn: s.conn, ID: id, N: n, Err: err, Expired: ctx.Err() != nil})
	return n, err
}

// Writer implements protocol.Socket.
func (s *Socket) Writer(ctx context.Context) io.Writer { return writer{s, ctx} }

type writer struct {
	socket *Socket
	ctx    context.Context
}

func (w writer) Write(p []byte) (int, error) { return w.socket.WriteContext(w.ctx, p) }

// WriteOwned implements protocol.Socket.
func (s *Socket) WriteOwned(p []byte, done func(error)) error {
	_, err := s.write(p, done, func(done func(error)) (int, error) { return taken(len(p), s.Socket.WriteOwned(p, done)) })
	return err
}

// WriteBuffers implements protocol.Socket.
func (s *Socket) WriteBuffers(bufs [][]byte, done func(error)) error {
	joined := bytes.Join(bufs, nil)
	_, err := s.write(joined, done, func(done func(error)) (int, error) { return taken(len(joined), s.Socket.WriteBuffers(bufs, done)) })
	return err
}

// Forward implements protocol.Socket.
func (s *Socket) Forward(b *protocol.Buffer) (int, error) {
	return s.write(b.Bytes(), nil, func(func(error)) (int, error) { return s.Socket.Forward(b) })
}

// WriteFile implements protocol.Socket.
func (s *Socket) WriteFile(f *os.File, offset, n int64, done func(error)) error {
	id := s.begin(File, Record{Bytes: contents(f, offset, n), N: int(n), Asked: done != nil})
	sent, err := taken(int(n), s.Socket.WriteFile(f, offset, n, s.completion(id, done)))
	s.end(id, sent, err)
	return err
}

// contents returns the bytes that a file has of n bytes from offset, nil if they are not known
// before it is read.
func contents(f *os.File, offset, n int64) []byte {
	if n < 0 || offset < 0 {
		return nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	p := make([]byte, n)
	had, _ := f.ReadAt(p, offset)
	return p[:had]
}

// taken is the number of bytes that an all-or-nothing write took.
func taken(n int, err error) (int, error) {
	if err != nil {
		n = 0
	}
	return n, err
}

// completion returns done with its call recorded; nil stays nil.
func (s *Socket) completion(id int, done func(error)) func(error) {
	if done == nil {
		return nil
	}
	return func(err error) {
		call, called := s.recorder.complete(s.conn, id, err)
		if !called {
			done(err)
			return
		}
		leave := Record{What: Leave, Call: Completion, Conn: s.conn, ID: call, Failed: true}
		defer func() { s.recorder.add(leave) }()
		done(err)
		leave.Failed = false
	}
}

// command records a command without an answer around its call.
func (s *Socket) command(op Op, n int, call func()) {
	id := s.begin(op, Record{N: n})
	call()
	s.end(id, 0, nil)
}

// Pause implements protocol.Socket.
func (s *Socket) Pause() { s.command(Pause, 0, s.Socket.Pause) }

// Resume implements protocol.Socket.
func (s *Socket) Resume() { s.command(Resume, 0, s.Socket.Resume) }

// Close implements protocol.Socket.
func (s *Socket) Close() error {
	s.command(Close, 0, func() { _ = s.Socket.Close() }) // it always returns nil
	return nil
}

// CloseWrite implements protocol.Socket.
func (s *Socket) CloseWrite() { s.command(CloseWrite, 0, s.Socket.CloseWrite) }

// Abort implements protocol.Socket.
func (s *Socket) Abort() { s.command(Abort, 0, s.Socket.Abort) }

// Detach implements protocol.Socket.
func (s *Socket) Detach() { s.command(Detach, 0, s.Socket.Detach) }

// SetTimeouts implements protocol.Socket.
func (s *Socket) SetTimeouts(t protocol.Timeouts) {
	id := s.begin(SetTimeouts, Record{Limits: &t})
	s.Socket.SetTimeouts(t)
	s.end(id, 0, nil)
}

// Do implements protocol.Socket. A Write goes to the mailbox, so it is recorded as mail.
func (s *Socket) Do(command protocol.Command, done func(error)) {
	op, begin := opOf(command), Record{Asked: done != nil}
	switch m := command.(type) {
	case *protocol.Write:
		begin.Mail, begin.Bytes, begin.N = true, m.Data, len(m.Data)
	case *protocol.Resume:
		begin.N = m.Credit
	}
	id := s.begin(op, begin)
	s.recorder.watchHandler(command, id)
	completion := s.completion(id, done)
	if completion != nil {
		s.recorder.owed.Add(1)
		told := completion
		completion = func(err error) {
			defer s.recorder.owed.Done()
			told(err)
		}
	}
	s.Socket.Do(command, completion)
	if op != Write {
		s.end(id, 0, nil)
	}
}

// Become implements protocol.Socket.
func (s *Socket) Become(handler protocol.Factory) error {
	id := s.begin(Become, Record{})
	err := s.Socket.Become(s.recorder.watch(handler, id))
	s.end(id, 0, err)
	return err
}

// watchHandler makes a Become name a handler that is watched.
func (r *Recorder) watchHandler(command protocol.Command, id int) {
	if m, ok := command.(*protocol.Become); ok && m != nil {
		m.Handler = r.watch(m.Handler, id)
	}
}

// Info implements protocol.Socket.
func (s *Socket) Info() protocol.Info {
	id := s.begin(Info, Record{})
	info := s.Socket.Info()
	s.recorder.add(Record{What: End, Op: Info, Conn: s.conn, ID: id, Info: &info})
	return info
}

// Stop stops the connection's actor, as any code that has its PID can. Poison does it in turn with
// its mail.
func (s *Socket) Stop(system *actor.ActorSystem) {
	s.command(Stop, 0, func() { system.Root.Stop(s.PID()) })
}

// Poison stops the connection's actor once its mail is read.
func (s *Socket) Poison(system *actor.ActorSystem) {
	s.command(Poison, 0, func() { system.Root.Poison(s.PID()) })
}
