package main

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol/frame"
)

const (
	longestLine = 1024 // bytes, with the line end
	mostNames   = 100  // that /who tells
)

// member is the handler of one connection.
type member struct {
	hall   *hall
	socket berth.Socket
	lines  frame.Lines
	missed uint64 // lines that were dropped, as far as it was told
	at     *room  // the one that it has joined
	quit   bool   // the lines behind /quit are not read

	name string // changed by the handler, with hall.mu held: the handler may read it without

	// hall.mu must be held.
	room *room // whose members it is among; nil once it is gone
	gone bool  // its connection has begun to end
}

func newMember(h *hall) *member {
	return &member{hall: h, lines: frame.Lines{Max: longestLine}}
}

// Accepted enters the lobby.
func (m *member) Accepted(socket berth.Socket) error {
	m.socket = socket
	socket.SetValue(m) // for Group.Left
	m.hall.enter(m)
	if err := m.tell("* welcome, " + m.name); err != nil {
		return err
	}
	return m.join("lobby")
}

// Data obeys every whole line.
func (m *member) Data(socket berth.Socket, data *berth.Buffer) error {
	if missed := socket.Info().Stats.DroppedWrites; missed > m.missed {
		if err := m.tell(fmt.Sprintf("* you missed %d lines", missed-m.missed)); err != nil {
			return err
		}
		m.missed = missed
	}
	for line, err := range m.lines.Frames(data) {
		if errors.Is(err, frame.ErrTooLong) {
			return errors.Join(m.tell(fmt.Sprintf("! a line has at most %d bytes", longestLine)), err)
		}
		if err != nil {
			return err
		}
		if err := m.obey(string(line)); err != nil || m.quit {
			return err
		}
	}
	return frame.Incomplete(data)
}

// Closing leaves the room. Group.Left has done so already, unless the connection was in none.
func (m *member) Closing(berth.Socket, *berth.Closing) { m.hall.leave(m) }

var word = regexp.MustCompile(`^[\pL\pN_-]{1,20}$`)

// obey does what a line asks for. An error ends the connection.
func (m *member) obey(line string) error {
	if !printable(line) {
		return m.tell("! a line is text without control characters")
	}
	if !strings.HasPrefix(line, "/") {
		if line != "" {
			m.at.say(m.name + ": " + line)
		}
		return nil
	}
	verb, rest, _ := strings.Cut(line, " ")
	rest = strings.TrimSpace(rest)
	switch verb {
	case "/nick":
		return m.nick(rest)
	case "/join":
		if !word.MatchString(rest) {
			return m.tell("! a room has a name of up to 20 letters and digits: /join ROOM")
		}
		return m.join(rest)
	case "/who":
		return m.who()
	case "/msg":
		name, text, found := strings.Cut(rest, " ")
		if !found {
			return m.tell("! a message needs a name and a text: /msg NAME TEXT")
		}
		return m.message(name, text)
	case "/quit":
		m.quit = true
		return m.socket.Close()
	default:
		return m.tell("! commands are /nick, /join, /who, /msg and /quit")
	}
}

// printable reports whether a line can be shown on a terminal: no escape sequences.
func printable(line string) bool {
	return utf8.ValidString(line) && !strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) && r != '\t' })
}

func (m *member) nick(name string) error {
	if !word.MatchString(name) {
		return m.tell("! a name has up to 20 letters and digits: /nick NAME")
	}
	old, free := m.hall.rename(m, name)
	if !free {
		return m.tell("! " + name + " is taken")
	}
	if old != name && !m.at.announce("* "+old+" is now "+name) {
		return m.tell("* you are now " + name)
	}
	return nil
}

func (m *member) join(name string) error {
	from, to, err := m.hall.move(m, name)
	if from != nil && from != to {
		from.announce("* " + m.name + " has left")
	}
	switch {
	case err != nil:
		return err
	case from == to:
		return m.tell("! you are in " + name)
	}
	m.at = to
	if !to.announce("* " + m.name + " is in " + name) {
		return m.tell(fmt.Sprintf("* you are in %s, with %d others", name, to.Len()-1))
	}
	return nil
}

func (m *member) who() error {
	room, names := m.hall.who(m)
	more := ""
	if len(names) > mostNames {
		more = fmt.Sprintf(" and %d more", len(names)-mostNames)
		names = names[:mostNames]
	}
	return m.tell("* in " + room + ": " + strings.Join(names, " ") + more)
}

// message writes to one member, whose policy decides if it does not read.
func (m *member) message(name, text string) error {
	to := m.hall.find(name)
	if to == nil {
		return m.tell("! there is no " + name)
	}
	if _, err := fmt.Fprintf(to.socket, "%s tells you: %s\n", m.name, text); err != nil {
		return m.tell("! " + name + " does not read")
	}
	return m.tell("you tell " + name + ": " + text)
}

// tell answers this member. It waits for room, and holds up no other member.
func (m *member) tell(line string) error {
	_, err := m.socket.WriteContext(context.Background(), []byte(line+"\n"))
	return err
}
