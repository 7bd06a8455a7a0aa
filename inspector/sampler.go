package inspector

import (
	"sync"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol"
)

const (
	// sampleEvery is the least time from one sample of the connections to the next.
	sampleEvery = 400 * time.Millisecond
	// longestWindow is the longest time over which a connection's rate can be asked for. Samples
	// reach as far back where they come every 500 ms or less often.
	longestWindow = 10 * time.Second
	ringSize      = 21
	// forgetAfter is how long samples are kept that are not asked for.
	// detailWindow is the time for the rates of a connection's own page.
	detailWindow = 5 * time.Second
	forgetAfter  = 30 * time.Second
)

// sampler looks at the connections when it is asked to, and keeps for each one the counts of the
// last looks, from which rates are computed. Any goroutine may call its methods.
type sampler struct {
	servers []Source

	mu      sync.Mutex
	tick    int // number of the newest sample, from 1 on
	times   [ringSize]time.Time
	tracks  map[berth.Socket]*track
	rows    []row // of the newest sample
	expired bool
}

// track is what is known of one connection.
type track struct {
	first  int // tick of its first sample
	last   int
	counts [ringSize]counts
}

type counts struct{ read, written uint64 }

// row is one connection in one sample.
type row struct {
	server int // index in servers
	socket berth.Socket
	track  *track
	id     string
	info   protocol.Info
}

// with calls f with the rows of a sample that is at most sampleEvery old. The rows are valid during
// the call. f must not call the sampler.
func (s *sampler) with(f func(rows []row)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := time.Now(); s.rows == nil || s.expired || now.Sub(s.times[s.tick%ringSize]) >= sampleEvery {
		s.sampleLocked(now)
	}
	f(s.rows)
}

func (s *sampler) sampleLocked(now time.Time) {
	if s.tracks == nil {
		s.tracks = map[berth.Socket]*track{}
	}
	s.expired = false
	s.tick++
	s.times[s.tick%ringSize] = now
	clear(s.rows)
	s.rows = s.rows[:0]
	if s.rows == nil {
		s.rows = []row{}
	}
	for server, source := range s.servers {
		for _, socket := range source.Connections() {
			t := s.tracks[socket]
			if t == nil {
				t = &track{first: s.tick}
				s.tracks[socket] = t
			}
			info := socket.Info()
			t.last = s.tick
			t.counts[s.tick%ringSize] = counts{read: info.Stats.Read, written: info.Stats.Written}
			s.rows = append(s.rows, row{server: server, socket: socket, track: t, id: socket.PID().GetId(), info: info})
		}
	}
	for socket, t := range s.tracks {
		if t.last != s.tick {
			delete(s.tracks, socket)
		}
	}
}

// expire has the next request look at the connections anew: what an action has changed is seen.
func (s *sampler) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired = true
}

// forget releases the samples that nothing has asked for lately: they hold 400 bytes and more for
// each connection.
func (s *sampler) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows != nil && time.Since(s.times[s.tick%ringSize]) > forgetAfter {
		s.rows, s.tracks, s.tick = nil, nil, 0
	}
}

// rates returns bytes per second, over the given time before the newest sample or somewhat longer;
// over the connection's life if that is shorter, but over 1 s at least. A connection that is older
// than its first sample has none before the second. It is called within with.
func (s *sampler) rates(r *row, window time.Duration) (read, written float64) {
	newest := s.tick
	now := r.track.counts[newest%ringSize]
	since, took := counts{}, max(r.info.Stats.Duration, time.Second)
	if r.info.Stats.Duration >= window {
		base := -1
		for tick := newest - 1; tick >= max(r.track.first, newest-ringSize+1); tick-- {
			base = tick
			if s.times[newest%ringSize].Sub(s.times[tick%ringSize]) >= window {
				break
			}
		}
		if base < 0 {
			return 0, 0
		}
		since, took = r.track.counts[base%ringSize], s.times[newest%ringSize].Sub(s.times[base%ringSize])
	}
	return float64(now.read-since.read) / took.Seconds(), float64(now.written-since.written) / took.Seconds()
}
