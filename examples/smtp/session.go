package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/go-berth/berth"
)

// Limits of one mail.
const (
	mostBytes      = 1 << 20
	mostRecipients = 100 // RFC 5321, 4.5.3.1.8
)

// mail is one that was received.
type mail struct {
	from string
	to   []string
	text bytes.Buffer // with CRLF, without the dots that SMTP puts in front of dots
}

// session is the dialogue with one client. Mail is taken over TLS only.
type session struct {
	config  *tls.Config
	deliver func(*mail) error // it may block: only this client waits

	greeted bool
	mail    *mail // nil: no MAIL yet
	inText  bool  // between DATA and the dot
	tooLong bool  // the text is more than mostBytes
}

// Accepted greets.
func (s *session) Accepted(socket berth.Socket) error {
	_, err := socket.Write([]byte("220 localhost ESMTP\r\n"))
	return err
}

// Data takes every complete line, and answers all of them with one write, which waits for room: the
// answers may be longer than WriteBufferSize. STARTTLS must be the last
// command of a group: what comes behind it in plain text ends the connection.
func (s *session) Data(socket berth.Socket, data *berth.Buffer) error {
	var answers bytes.Buffer
	next := goOn
	for next == goOn {
		line, complete := data.ReadLine()
		if !complete {
			break
		}
		if s.inText {
			s.textLine(&answers, line)
		} else {
			next = s.command(&answers, string(line), socket.TLS() != nil)
		}
	}
	if _, err := socket.WriteContext(context.Background(), answers.Bytes()); err != nil {
		return err
	}
	switch next {
	case switchToTLS:
		return socket.StartTLS(s.config)
	case quit:
		return socket.Close()
	default:
		return nil
	}
}

// TLSStarted forgets what the client has said: it was not authentic. See RFC 3207, 4.2.
func (s *session) TLSStarted(berth.Socket) error {
	s.greeted, s.mail = false, nil
	return nil
}

// after says what follows a command.
type after uint8

const (
	goOn after = iota
	switchToTLS
	quit
)

// command answers one command.
func (s *session) command(answers *bytes.Buffer, line string, secured bool) after {
	answer := func(format string, arguments ...any) { fmt.Fprintf(answers, format+"\r\n", arguments...) }
	verb, argument, _ := strings.Cut(line, " ")
	switch verb = strings.ToUpper(verb); verb {
	case "HELO", "EHLO":
		s.greeted, s.mail = true, nil
		switch {
		case verb == "HELO":
			answer("250 localhost")
		case secured:
			answer("250-localhost\r\n250-PIPELINING\r\n250 SIZE %d", mostBytes)
		default:
			answer("250-localhost\r\n250-PIPELINING\r\n250-SIZE %d\r\n250 STARTTLS", mostBytes)
		}
	case "STARTTLS":
		if secured {
			answer("503 5.5.1 TLS is on already")
			break
		}
		answer("220 2.0.0 ready to start TLS")
		return switchToTLS
	case "NOOP":
		answer("250 2.0.0 OK")
	case "RSET":
		s.mail = nil
		answer("250 2.0.0 OK")
	case "QUIT":
		answer("221 2.0.0 bye")
		return quit
	case "MAIL", "RCPT", "DATA":
		switch {
		case !secured:
			answer("530 5.7.0 STARTTLS first")
		case !s.greeted:
			answer("503 5.5.1 EHLO first")
		default:
			answer("%s", s.transaction(verb, argument))
		}
	default:
		answer("500 5.5.2 unknown command")
	}
	return goOn
}

// transaction answers a command of a mail.
func (s *session) transaction(verb, argument string) string {
	switch {
	case verb == "MAIL" && s.mail != nil:
		return "503 5.5.1 one mail at a time"
	case verb == "MAIL":
		from, ok := path(argument, "FROM:")
		if !ok {
			return "501 5.5.4 MAIL FROM:<address>"
		}
		s.mail = &mail{from: from}
	case s.mail == nil:
		return "503 5.5.1 MAIL first"
	case verb == "RCPT":
		to, ok := path(argument, "TO:")
		switch {
		case !ok || to == "":
			return "501 5.5.4 RCPT TO:<address>"
		case len(s.mail.to) == mostRecipients:
			return "452 4.5.3 too many recipients"
		}
		s.mail.to = append(s.mail.to, to)
	case len(s.mail.to) == 0:
		return "503 5.5.1 RCPT first"
	default:
		s.inText, s.tooLong = true, false
		return "354 end with a dot on a line of its own"
	}
	return "250 2.1.0 OK"
}

// path returns the address of "FROM:<address> PARAMETERS".
func path(argument, word string) (address string, ok bool) {
	if len(argument) < len(word) || !strings.EqualFold(argument[:len(word)], word) {
		return "", false
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(argument[len(word):]), "<")
	if !ok {
		return "", false
	}
	address, _, ok = strings.Cut(rest, ">")
	return address, ok
}

// textLine takes one line of the text, and answers the last.
func (s *session) textLine(answers *bytes.Buffer, line []byte) {
	if string(line) == "." {
		answers.WriteString(s.received())
		return
	}
	line = bytes.TrimPrefix(line, []byte("."))
	text := &s.mail.text
	if s.tooLong = s.tooLong || text.Len()+len(line)+2 > mostBytes; s.tooLong {
		text.Reset()
		return
	}
	text.Write(line)
	text.WriteString("\r\n")
}

// received delivers a mail, and returns the answer.
func (s *session) received() string {
	done := s.mail
	s.mail, s.inText = nil, false
	if s.tooLong {
		return "552 5.3.4 the mail is too long\r\n"
	}
	if err := s.deliver(done); err != nil {
		return "451 4.3.0 not delivered, try again\r\n"
	}
	return "250 2.0.0 delivered\r\n"
}
