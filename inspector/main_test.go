package inspector_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/inspector"
	"github.com/go-berth/berth/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "a-token-of-26-characters.."

// socket is a connection that a test describes. It counts what is done to it.
type socket struct {
	protocol.Socket
	pid *actor.PID

	mu   sync.Mutex
	info protocol.Info
	did  []string
}

func newSocket(id string, info protocol.Info) *socket {
	return &socket{pid: actor.NewPID("nonhost", id), info: info}
}

func (s *socket) PID() *actor.PID { return s.pid }
func (s *socket) Pause()          { s.note("pause") }
func (s *socket) Resume()         { s.note("resume") }
func (s *socket) Close() error    { s.note("close"); return nil }

func (s *socket) note(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.did = append(s.did, what)
}

func (s *socket) Info() protocol.Info {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.info
}

func (s *socket) set(change func(info *protocol.Info)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.info)
}

// source is a server that a test describes.
type source struct {
	pid     *actor.PID
	info    protocol.ListenerInfo
	sockets []berth.Socket
	did     []string
	refuses error
	warns   []berth.Warning
}

func newSource(sockets ...*socket) *source {
	s := &source{pid: actor.NewPID("nonhost", "listener$0"), info: protocol.ListenerInfo{Addr: "127.0.0.1:7000", Accepting: true}}
	for _, socket := range sockets {
		s.sockets = append(s.sockets, socket)
	}
	s.info.Open = len(sockets)
	return s
}

func (s *source) PID() *actor.PID             { return s.pid }
func (s *source) Info() protocol.ListenerInfo { return s.info }
func (s *source) Connections() []berth.Socket { return s.sockets }
func (s *source) Warnings() []berth.Warning   { return s.warns }
func (s *source) LoopLag(context.Context) []time.Duration {
	return []time.Duration{time.Millisecond, 3 * time.Millisecond, 0}
}

func (s *source) Find(id string) (berth.Socket, bool) {
	for _, socket := range s.sockets {
		if socket.PID().Id == id {
			return socket, true
		}
	}
	return nil, false
}
func (s *source) Suspend() { s.did = append(s.did, "suspend") }
func (s *source) Resume() error {
	s.did = append(s.did, "resume")
	return s.refuses
}

// crowd returns so many connections whose fields differ.
func crowd(count int) []*socket {
	sockets := make([]*socket, count)
	for n := range sockets {
		states := []protocol.State{protocol.StateOpen, protocol.StateOpening, protocol.StateOpen, protocol.StateFlushing, protocol.StateClosing}
		sockets[n] = newSocket(fmt.Sprintf("listener$0/connections/$%05d", n), protocol.Info{
			LocalAddr: "127.0.0.1:7000", RemoteAddr: fmt.Sprintf("10.0.%d.%d:%d", n/250, n%250, 1024+n), State: states[n%len(states)],
			Paused: n%7 == 0, Throttled: n%11 == 0, HandlerFor: time.Duration(n*13%101) * time.Second, QueuedWrites: n % 4, QueuedBytes: (n * 7919) % 10007,
			Stats: protocol.Stats{Read: uint64((n * 104729) % 1000003), Written: uint64((n * 1299709) % 1000033), Duration: time.Duration((n*31)%9973) * time.Second},
		})
	}
	return sockets
}

func start(t *testing.T, options inspector.Options, sources ...inspector.Source) *inspector.Inspector {
	t.Helper()
	i, err := inspector.New(options, sources...)
	require.NoError(t, err)
	t.Cleanup(i.Close)
	return i
}

// request is one to the handler as a browser or another client of this machine sends it.
func request(method, path string, headers ...string) *http.Request {
	r := httptest.NewRequest(method, "http://127.0.0.1:7001"+path, http.NoBody)
	r.RemoteAddr = "127.0.0.1:50000"
	for n := 0; n < len(headers); n += 2 {
		r.Header.Set(headers[n], headers[n+1])
	}
	return r
}

func answer(handler http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

// get returns the JSON of a path, which must be there.
func get[T any](t *testing.T, handler http.Handler, path string) (value T) {
	t.Helper()
	w := answer(handler, request(http.MethodGet, path))
	require.Equal(t, http.StatusOK, w.Code, "%s: %s", path, w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &value), "%s", w.Body)
	return value
}

// The answers as a client sees them: written out here, so that a field that loses its name is
// noticed.
type (
	table struct {
		Total, Offset, Limit int
		Rows                 []connection
	}
	connection struct {
		ID, Writer, Remote, State, Reason, Error string
		Server                                   int
		Paused                                   bool
		QueuedBytes, QueuedWrites                int
		Buffered, Read, Written                  uint64
		ReadRate, WriteRate, Age, HandlerFor     float64
		Handler                                  *struct {
			Calls                uint64
			Total, Mean, Longest float64
		}
		Throttled bool
		Closed    *closed
	}
	closed struct {
		ID, Remote, Reason, Error string
		Read, Written             uint64
		Age                       float64
	}
	closedPage struct {
		Total   int
		Reasons map[string]int
		Rows    []closed
	}
	overview struct {
		Open     int
		Actions  bool
		Warnings []struct {
			Kind, ID, Remote, Advice string
			For                      float64
		}
		Servers []struct {
			Index, Open, MaxConnections int
			Paused, Full                int
			Kind, Addr, PID             string
			Accepting, Suspendable      bool
			Accepted, Read, Written     uint64
			Refused, Ended              map[string]uint64
			ByState                     map[string]int
		}
	}
	tree struct {
		Servers []struct {
			PID, Connections string
			Acceptors        []string
			Total            int
			Children         []struct{ ID, Writer, Remote, State string }
		}
	}
	point struct {
		Time                                             int64
		Open                                             int
		Accepted, Refused, Ended, Read, Written, LoopLag float64
		Heap, Memory, Goroutines                         uint64
	}
	history struct {
		Every  float64
		Points []point
	}
)
