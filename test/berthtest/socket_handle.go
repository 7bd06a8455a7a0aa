package berthtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol"
)

// This file has the methods that a handler calls: those of berth.Socket.

// PID implements berth.Socket. No actor has it.
func (s *Socket) PID() *actor.PID { return s.pid }

// LocalAddr implements berth.Socket.
func (s *Socket) LocalAddr() net.Addr { return s.Local }

// RemoteAddr implements berth.Socket.
func (s *Socket) RemoteAddr() net.Addr { return s.Remote }

// ProxyHeader implements protocol.Proxied.
func (s *Socket) ProxyHeader() *protocol.ProxyHeader { return s.Proxy }

// Write implements berth.Socket.
func (s *Socket) Write(p []byte) (int, error) {
	if err := s.write("Write", bytes.Clone(p), nil, nil); err != nil {
		return 0, err
	}
	return len(p), nil
}

// WriteContext implements berth.Socket. It waits while writes are refused for lack of room.
func (s *Socket) WriteContext(ctx context.Context, p []byte) (int, error) {
	for {
		s.mu.Lock()
		room, wait := s.room, s.ended == nil && s.accepts == 0 && lacksRoom(s.refusal)
		s.mu.Unlock()
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if !wait {
			break
		}
		select {
		case <-room:
		case <-ctx.Done():
		}
	}
	if err := s.write("WriteContext", bytes.Clone(p), nil, nil); err != nil {
		return 0, err
	}
	return len(p), nil
}

// lacksRoom reports that a write with this error fits later.
func lacksRoom(err error) bool {
	return errors.Is(err, protocol.ErrWriteBufferFull) || errors.Is(err, protocol.ErrWriteQueueFull) ||
		errors.Is(err, protocol.ErrMemoryBudget)
}

// Writer implements berth.Socket.
func (s *Socket) Writer(ctx context.Context) io.Writer { return writer{s, ctx} }

type writer struct {
	socket *Socket
	ctx    context.Context
}

// Write implements io.Writer.
func (w writer) Write(p []byte) (int, error) { return w.socket.WriteContext(w.ctx, p) }

// WriteOwned implements berth.Socket.
func (s *Socket) WriteOwned(p []byte, done func(error)) error {
	copied := bytes.Clone(p)
	err := s.write("WriteOwned", copied, nil, done)
	if err == nil {
		s.keep("WriteOwned", p, copied)
	}
	return err
}

// WriteBuffers implements berth.Socket.
func (s *Socket) WriteBuffers(bufs [][]byte, done func(error)) error {
	err := s.write("WriteBuffers", bytes.Join(bufs, nil), nil, done)
	if err == nil {
		for _, p := range bufs {
			s.keep("WriteBuffers", p, bytes.Clone(p))
		}
	}
	return err
}

// Forward implements berth.Socket.
func (s *Socket) Forward(b *berth.Buffer) (int, error) {
	if b == nil {
		return 0, errors.New("berth: no buffer to forward")
	}
	p := b.Bytes()
	if err := s.write("Forward", bytes.Clone(p), nil, nil); err != nil {
		return 0, err
	}
	return len(b.Take()), nil
}

// WriteFile implements berth.Socket. It reads the file at once.
func (s *Socket) WriteFile(f *os.File, offset, n int64, done func(error)) error {
	p, err := readFile(f, offset, n)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	return s.write("WriteFile", p, err, done)
}

// readFile returns n bytes of f, or fewer and io.ErrUnexpectedEOF.
func readFile(f *os.File, offset, n int64) ([]byte, error) {
	switch {
	case n < 0:
		return nil, fmt.Errorf("berth: cannot write %d bytes of a file: %w", n, os.ErrInvalid)
	case offset < 0 || offset > math.MaxInt64-n:
		return nil, fmt.Errorf("berth: cannot write a file from offset %d: %w", offset, os.ErrInvalid)
	case f == nil || *f == (os.File{}):
		return nil, fmt.Errorf("berth: no file to write: %w", os.ErrInvalid)
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("berth: cannot write a file: %w", err)
	case info.IsDir():
		return nil, fmt.Errorf("berth: cannot write the directory %s: %w", f.Name(), os.ErrInvalid)
	}
	var from io.Reader = io.NewSectionReader(f, offset, n)
	if !info.Mode().IsRegular() {
		from = io.LimitReader(f, n)
	}
	p, err := io.ReadAll(from)
	if err == nil && int64(len(p)) < n {
		err = io.ErrUnexpectedEOF
	}
	return p, err
}

// Pause implements berth.Socket.
func (s *Socket) Pause() { s.command(&protocol.Pause{}, nil) }

// Resume implements berth.Socket.
func (s *Socket) Resume() { s.command(&protocol.Resume{}, nil) }

// Close implements berth.Socket.
func (s *Socket) Close() error {
	s.command(&protocol.Close{}, nil)
	return nil
}

// CloseWrite implements berth.Socket.
func (s *Socket) CloseWrite() { s.command(&protocol.CloseWrite{}, nil) }

// Abort implements berth.Socket.
func (s *Socket) Abort() { s.command(&protocol.Abort{}, nil) }

// Detach implements berth.Socket.
func (s *Socket) Detach() { s.command(&protocol.Detach{}, nil) }

// Link implements berth.Socket.
func (s *Socket) Link(pid *actor.PID) { s.command(&protocol.Link{PID: pid}, nil) }

// Unlink implements berth.Socket.
func (s *Socket) Unlink(pid *actor.PID) { s.command(&protocol.Unlink{PID: pid}, nil) }

// Become implements berth.Socket. The handler stays the same: it is in Commands.
func (s *Socket) Become(handler berth.Factory) error {
	if handler == nil {
		return errors.New("berth: Become needs a handler")
	}
	if err := s.alive(); err != nil {
		return err
	}
	s.command(&protocol.Become{Handler: handler}, nil)
	return nil
}

// StartTLS implements berth.Socket. There is no handshake: the command is in Commands, and
// TLSStarted is for the test to deliver.
func (s *Socket) StartTLS(config *tls.Config) error {
	if config == nil {
		return errors.New("berth: StartTLS needs a TLS configuration")
	}
	if err := s.alive(); err != nil {
		return err
	}
	s.command(&protocol.StartTLS{Config: config}, nil)
	return nil
}

// alive returns why the connection ends, nil if it does not.
func (s *Socket) alive() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reason == protocol.ReasonNone {
		return nil
	}
	return s.ended
}

// Do implements berth.Socket.
func (s *Socket) Do(command protocol.Command, done func(error)) {
	if v := reflect.ValueOf(command); v.Kind() != reflect.Pointer || v.IsNil() {
		s.completeLater(errNoCommand, done)
		return
	}
	if w, ok := command.(*protocol.Write); ok {
		s.doWrite(w, done)
		return
	}
	s.command(command, done)
}

// doWrite queues a write. One that is refused is completed by the next Flush.
func (s *Socket) doWrite(w *protocol.Write, done func(error)) {
	copied := bytes.Clone(w.Data)
	err := s.write("Do(Write)", copied, nil, done)
	if err == nil {
		s.keep("Do(Write)", w.Data, copied)
		return
	}
	s.completeLater(err, done)
}

var errNoCommand = errors.New("berth: no command to carry out")

// completeLater gives done, unless it is nil, to the next Flush.
func (s *Socket) completeLater(err error, done func(error)) {
	if done == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queued = append(s.queued, queued{err: err, done: done})
}

// command notes a command and applies its visible effect.
func (s *Socket) command(command protocol.Command, done func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record(words(command), nil)
	s.commands = append(s.commands, command)
	ends := false
	switch command.(type) {
	case *protocol.Pause:
		s.paused = true
	case *protocol.Resume:
		s.paused = false
	case *protocol.Close:
		s.end(berth.ErrClosed, nil, protocol.ReasonLocalClosed, protocol.StateClosing)
		ends = true
	case *protocol.CloseWrite:
		s.end(berth.ErrClosed, nil, protocol.ReasonNone, s.state)
	case *protocol.Abort:
		s.end(berth.ErrClosed, protocol.ErrAborted, protocol.ReasonLocalAborted, protocol.StateClosed)
		ends = true
	}
	if done != nil {
		s.queued = append(s.queued, queued{ends: ends, done: done})
	}
}

// words names a command as Calls does.
func words(command protocol.Command) string {
	name := strings.TrimPrefix(fmt.Sprintf("%T", command), "*protocol.")
	switch m := command.(type) {
	case *protocol.Resume:
		if m.Credit != 0 {
			return fmt.Sprintf("%s %d", name, m.Credit)
		}
	case *protocol.Link:
		return fmt.Sprintf("%s %s", name, m.PID.GetId())
	case *protocol.Unlink:
		return fmt.Sprintf("%s %s", name, m.PID.GetId())
	}
	return name
}

// SetValue implements berth.Socket.
func (s *Socket) SetValue(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = v
}

// Value implements berth.Socket.
func (s *Socket) Value() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// SetTimeouts implements berth.Socket. Nothing ever times out.
func (s *Socket) SetTimeouts(t protocol.Timeouts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.record(fmt.Sprintf("SetTimeouts %+v", t), nil)
	s.timeouts = t
}

// TLS implements berth.Socket.
func (s *Socket) TLS() *tls.ConnectionState { return s.TLSState }

// SyscallConn implements berth.Socket. There is no descriptor.
func (s *Socket) SyscallConn() (syscall.RawConn, error) { return nil, protocol.ErrNoDescriptor }

// Restarts implements berth.Socket.
func (s *Socket) Restarts() int { return s.Restarted }

// Info implements berth.Socket.
func (s *Socket) Info() berth.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	info := berth.Info{
		LocalAddr:  s.Local.String(),
		RemoteAddr: s.Remote.String(),
		State:      s.state,
		Reason:     s.reason,
		Err:        s.cause,
		Paused:     s.paused,
		Stats:      s.stats,
	}
	for _, q := range s.queued {
		if q.write {
			info.QueuedWrites++
			info.QueuedBytes += q.bytes
		}
	}
	info.Stats.Duration = time.Since(s.born)
	return info
}
