package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/session"
	"github.com/go-berth/berth/sessionnats"
)

const (
	longestLine  = 1024 // bytes, with the line end
	mostRooms    = 10_000
	mostJoined   = 16               // rooms of one member
	storeTimeout = 12 * time.Second // longer than an election
)

// gateway serves clients. What must not be lost is in the store: so any gateway serves any client,
// and one that is killed loses nothing.
type gateway struct {
	name     string
	store    *sessionnats.Store
	sessions *session.Sessions
	lines    *lines
	server   *berth.Server
	ctx      context.Context
	stop     context.CancelFunc
	beats    sync.WaitGroup

	mu    sync.Mutex
	rooms map[string]*room
}

// startGateway listens on addr. The store is reached at urls.
func startGateway(ctx context.Context, addr string, urls []string) (_ *gateway, err error) {
	g := &gateway{rooms: map[string]*room{}}
	g.ctx, g.stop = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.store, err = sessionnats.Open(ctx, sessionnats.Options{URLs: urls, Attached: time.Hour, Timeout: storeTimeout}); err != nil {
		return nil, err
	}
	if g.lines, err = openLines(ctx, g.store); err != nil {
		return nil, err
	}
	g.sessions = session.New(g.store, session.Options{})
	g.server, err = berth.Listen(addr, berth.Handlers(func() berth.Handler { return newMember(g) }), berth.Options{
		Connection: berth.ConnectionOptions{
			WriteBufferSize: 256 << 10, WriteQueueSize: 1024, IdleTimeout: time.Minute, // clients say something every 5 s
		},
	})
	if err != nil {
		return nil, err
	}
	g.name = g.server.Addr().String()
	g.beats.Go(g.beat)
	return g, nil
}

// beat tells the other gateways of the members here.
func (g *gateway) beat() {
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-g.ctx.Done():
			return
		}
		for _, r := range g.all() {
			r.say(g.store.Conn(), g.name)
		}
	}
}

func (g *gateway) all() (rooms []*room) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.rooms {
		rooms = append(rooms, r)
	}
	return rooms
}

// close ends all connections at once, and then everything else.
func (g *gateway) close() {
	g.stop()
	if g.server != nil {
		_ = g.server.Close()
	}
	g.beats.Wait()
	for _, r := range g.all() {
		r.close()
	}
	if g.store != nil {
		g.store.Close()
	}
}

// enter returns the room of a name, for a member that has its lines up to a sequence. leave is
// called once for each.
func (g *gateway) enter(ctx context.Context, name string, has uint64) (*room, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.rooms[name]
	if r == nil {
		if len(g.rooms) >= mostRooms {
			return nil, fmt.Errorf("this gateway has %d rooms", mostRooms)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		var err error
		if r, err = newRoom(g.ctx, name, g.lines, g.store.Conn(), has); err != nil {
			return nil, err
		}
		g.rooms[name] = r
	}
	r.users++
	return r, nil
}

func (g *gateway) leave(r *room, m *member) {
	r.leave(m)
	g.mu.Lock()
	r.users--
	last := r.users == 0
	if last {
		delete(g.rooms, r.name)
	}
	g.mu.Unlock()
	if last {
		r.close()
	}
}

// joined is a room that a member is in.
type joined struct {
	room *room
	at   *tail // of this session's lines there; nil: not known
}

// reason is an error in the words of a client.
func reason(err error) string {
	for _, known := range []error{session.ErrToken, session.ErrEpoch, session.ErrFuture, session.ErrFenced, sessionnats.ErrUnavailable, sessionnats.ErrUnsure} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return err.Error()
}

// listed joins names for one line.
func listed(names []string) (text string) {
	for _, name := range slices.Compact(names) {
		if text += " " + name; len(text) > longestLine/2 {
			return text + " ..."
		}
	}
	return text
}
