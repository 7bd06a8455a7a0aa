package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol/frame"
	"github.com/go-berth/berth/session"
)

// member is the handler of one connection. It blocks while the store works: that delays its own
// connection only.
type member struct {
	gateway *gateway
	socket  berth.Socket
	lines   frame.Lines
	session *session.Session // nil: none yet
	name    string
	next    uint64    // the number of the next line that the client says
	changed time.Time // its session, last
	rooms   map[string]*joined

	closed chan struct{}  // by Closed
	fence  sync.WaitGroup // watch
}

func newMember(g *gateway) *member {
	return &member{
		gateway: g, lines: frame.Lines{Max: longestLine}, rooms: map[string]*joined{}, closed: make(chan struct{}),
	}
}

// Accepted waits for the client.
func (m *member) Accepted(socket berth.Socket) error {
	m.socket = socket
	return nil
}

// Data obeys every whole line.
func (m *member) Data(_ berth.Socket, data *berth.Buffer) error {
	for line, err := range m.lines.Frames(data) {
		if err != nil {
			return err
		}
		if err := m.obey(string(line)); err != nil {
			return err
		}
	}
	return frame.Incomplete(data)
}

// Closed leaves the rooms. The session waits for its client.
func (m *member) Closed(berth.Socket, *berth.Closed) {
	close(m.closed)
	m.fence.Wait()
	for _, j := range m.rooms {
		m.gateway.leave(j.room, m)
	}
	if m.session != nil {
		ctx, cancel := context.WithTimeout(m.gateway.ctx, 2*time.Second)
		defer cancel()
		_ = m.session.Release(ctx) // if it fails, the session waits nevertheless
	}
}

// obey does what a line asks for. An error ends the connection.
func (m *member) obey(text string) error {
	if !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
		return m.refuse("line", "a line is text without control characters")
	}
	ctx, cancel := context.WithTimeout(m.gateway.ctx, storeTimeout)
	defer cancel()
	verb, rest, _ := strings.Cut(text, " ")
	words := strings.Fields(rest)
	switch {
	case verb == "ping":
		return m.pong(ctx)
	case verb == "open" && len(words) == 1:
		return m.open(ctx, words[0])
	case verb == "resume" && len(words) == 3:
		return m.resume(ctx, words[0], words[1], words[2])
	case verb == "open" || verb == "resume":
		return m.refuse(verb, "open NAME, resume TOKEN EPOCH NAME")
	case m.session == nil:
		return m.refuse(verb, "open or resume comes first")
	case verb == "join" && len(words) == 2:
		return m.join(ctx, words[0], words[1])
	case verb == "who" && len(words) == 1:
		return m.who(words[0])
	case verb == "say":
		number, rest, _ := strings.Cut(rest, " ")
		room, said, found := strings.Cut(rest, " ")
		if n, err := strconv.ParseUint(number, 10, 64); err == nil && found {
			return m.say(ctx, n, room, said)
		}
	}
	return m.refuse(verb, "commands are open NAME, resume TOKEN EPOCH NAME, join ROOM SEQUENCE, say NUMBER ROOM TEXT, who ROOM, ping")
}

func (m *member) tell(format string, a ...any) error {
	_, err := fmt.Fprintf(m.socket, format+"\n", a...)
	return err
}

func (m *member) refuse(what, why string) error { return m.tell("refused %s %s", what, why) }

// begin takes a session whose next line has this number.
func (m *member) begin(one *session.Session, name string, next uint64) {
	m.session, m.name, m.next, m.changed = one, name, next, time.Now()
	m.fence.Go(m.watch)
}

// watch runs until the connection has ended. Once another connection has the session, it tells the
// client and closes this one. Fenced hears at once of a connection at this gateway, and of one at
// another when the session changes next.
func (m *member) watch() {
	select {
	case <-m.session.Fenced():
		_ = m.tell("refused %s", strings.Replace(session.ErrFenced.Error(), ":", "", 1)) // it fails if the connection ends just now
		_ = m.socket.Close()
	case <-m.closed:
	}
}

// open begins a session.
func (m *member) open(ctx context.Context, name string) error {
	if m.session != nil || !word(name) {
		return m.refuse("open", "a client opens one session, with a name of up to 32 letters, digits, - and _")
	}
	one, welcome, err := m.gateway.sessions.Open(ctx)
	if err != nil {
		return m.refuse("open", reason(err))
	}
	m.begin(one, name, 1)
	return m.tell("welcome %s %d", welcome.Token, welcome.Epoch)
}

// resume goes on with one. The lines of rooms are in no session: so nothing is to be sent again.
func (m *member) resume(ctx context.Context, token, epochText, name string) error {
	epoch, err := strconv.ParseUint(epochText, 10, 64)
	if m.session != nil || err != nil || !word(name) {
		return m.refuse("resume", "resume TOKEN EPOCH NAME, once")
	}
	one, resumed, err := m.gateway.sessions.Resume(ctx, token, epoch, 0)
	if err != nil {
		return m.refuse("resume", reason(err))
	}
	m.begin(one, name, resumed.Handled+1)
	return m.tell("resumed %d %d", resumed.Epoch, resumed.Handled)
}

// pong answers a ping. A client that says nothing else keeps its session by it.
func (m *member) pong(ctx context.Context) error {
	if m.session != nil && time.Since(m.changed) > m.gateway.attached/4 {
		err := m.session.Acknowledge(ctx, 0) // nothing but that it is there
		if errors.Is(err, session.ErrFenced) {
			return nil // watch tells
		}
		if err == nil {
			m.changed = time.Now()
		}
	}
	return m.tell("pong")
}

// join enters a room. The client has its lines up to a sequence, or wants those from now on.
func (m *member) join(ctx context.Context, name, after string) error {
	if !word(name) || m.rooms[name] != nil || len(m.rooms) >= mostJoined {
		return m.refuse("join", "a room has a name of up to 32 letters, digits, - and _, a member joins it once, and is in "+strconv.Itoa(mostJoined)+" at most")
	}
	newest, err := m.gateway.lines.Sequence(ctx)
	if err != nil {
		return m.refuse("join", reason(err))
	}
	has := newest
	if after != "now" {
		if has, err = strconv.ParseUint(after, 10, 64); err != nil {
			return m.refuse("join", "the sequence is a number, or now")
		}
		if has > newest {
			return m.refuse("join", "a sequence from the future")
		}
	}
	r, err := m.gateway.enter(ctx, name, has)
	if err != nil {
		return m.refuse("join", reason(err))
	}
	m.rooms[name] = &joined{room: r}
	if err := m.tell("joined %s %d", name, has); err != nil {
		return err
	}
	return r.join(ctx, m, has)
}

func (m *member) who(name string) error {
	if m.rooms[name] == nil {
		return m.refuse("who", "it is not in this room")
	}
	return m.tell("members %s%s", name, listed(m.rooms[name].room.members(m.gateway.name)))
}

// say stores a line, and says so once a quorum has it. The line is stored before the session counts
// it: a gateway that is killed between the two leaves a line that is found again by its number.
func (m *member) say(ctx context.Context, number uint64, name, text string) error {
	what := "say " + strconv.FormatUint(number, 10)
	j := m.rooms[name]
	switch {
	case j == nil:
		return m.refuse(what, "it is not in this room")
	case m.isFenced():
		return nil // watch tells
	case number == 0:
		return m.refuse(what, "numbers begin with 1")
	case number > m.next:
		return m.refuse(what, session.ErrGap.Error())
	case number < m.next:
		return m.tell("stored %d", number)
	}
	if j.at == nil {
		at, err := m.gateway.lines.tail(ctx, name, m.session.ID())
		if err != nil {
			return m.refuse(what, reason(err))
		}
		j.at = &at
	}
	at, err := m.gateway.lines.say(ctx, name, m.session.ID(), m.name, number, text, *j.at)
	if err != nil {
		j.at = nil
		return m.refuse(what, reason(err))
	}
	j.at = &at
	switch _, err = m.session.Deliver(ctx, number, func() {}); {
	case errors.Is(err, session.ErrFenced):
		return nil // watch tells
	case err != nil:
		return m.refuse(what, reason(err)) // the client says it again
	}
	m.next++
	m.changed = time.Now()
	return m.tell("stored %d", number)
}

// isFenced reports whether it is known that another connection has the session. The lines of two
// that do not know of each other yet are told apart by lines.say.
func (m *member) isFenced() bool {
	select {
	case <-m.session.Fenced():
		return true
	default:
		return false
	}
}
