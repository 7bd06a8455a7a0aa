package main

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/go-berth/berth/examples/redis/resp"
)

// version is that of the Redis whose words the replies are.
const version = "7.0.15"

func ping(s *session, args [][]byte) {
	switch {
	case len(args) > 2:
		s.refuse(wrongNumber("ping"))
	case len(s.subscriptions) > 0 && !s.out.three:
		s.out.array(2)
		s.out.text("pong")
		s.out.bulk(append([]byte{}, slices.Concat(args[1:]...)...))
	case len(args) == 2:
		s.out.bulk(args[1])
	default:
		s.out.raw(pong)
	}
}

func echo(s *session, args [][]byte) { s.out.bulk(args[1]) }

func quit(s *session, _ [][]byte) {
	s.out.raw(ok)
	s.quit = true
}

// hello is HELLO [version [AUTH user password] [SETNAME name]].
func hello(s *session, args [][]byte) {
	three, name := s.out.three, s.name
	if len(args) > 1 {
		n, isNumber := resp.Integer(args[1])
		switch {
		case !isNumber:
			s.out.err("ERR Protocol version is not an integer or out of range")
			return
		case n != 2 && n != 3:
			s.out.err("NOPROTO unsupported protocol version")
			return
		}
		three = n == 3
		for rest := args[2:]; len(rest) > 0; {
			switch word := lower(rest[0]); {
			case word == "auth" && len(rest) > 2:
				if string(rest[1]) != "default" { // that user needs no password
					s.out.err("WRONGPASS invalid username-password pair or user is disabled.")
					return
				}
				rest = rest[3:]
			case word == "setname" && len(rest) > 1:
				if !validName(rest[1]) {
					s.out.err(errClientName)
					return
				}
				name, rest = string(rest[1]), rest[2:]
			default:
				s.out.err("ERR Syntax error in HELLO option '" + string(rest[0]) + "'")
				return
			}
		}
	}
	s.out.three, s.name = three, name // a subscriber's messages follow: see changeForm
	s.out.dictionary(7)
	s.out.text("server")
	s.out.text("redis")
	s.out.text("version")
	s.out.text(version)
	s.out.text("proto")
	if three {
		s.out.integer(3)
	} else {
		s.out.integer(2)
	}
	s.out.text("id")
	s.out.integer(s.id)
	s.out.text("mode")
	s.out.text("standalone")
	s.out.text("role")
	s.out.text("master")
	s.out.text("modules")
	s.out.array(0)
}

const errClientName = "ERR Client names cannot contain spaces, newlines or special characters."

func validName(name []byte) bool {
	return !slices.ContainsFunc(name, func(c byte) bool { return c < '!' || c > '~' })
}

func clientID(s *session, _ [][]byte) { s.out.integer(s.id) }

func clientGetName(s *session, _ [][]byte) {
	if s.name == "" {
		s.out.null()
		return
	}
	s.out.text(s.name)
}

func clientSetName(s *session, args [][]byte) {
	if !validName(args[2]) {
		s.out.err(errClientName)
		return
	}
	s.name = string(args[2])
	s.out.raw(ok)
}

func clientSetInfo(s *session, _ [][]byte) { s.out.raw(ok) }

func clientInfo(s *session, _ [][]byte) {
	s.out.verbatim(fmt.Sprintf("id=%d addr=%v laddr=%v name=%s db=0 sub=%d multi=%d\n",
		s.id, s.socket.RemoteAddr(), s.socket.LocalAddr(), s.name, len(s.subscriptions), s.queuedCommands()))
}

// queuedCommands is -1 without a transaction.
func (s *session) queuedCommands() int {
	if !s.transaction.open {
		return -1
	}
	return len(s.transaction.queue)
}

// settings are what CONFIG GET knows. Tools ask for the first two.
var settings = [][2]string{{"save", ""}, {"appendonly", "no"}, {"databases", "1"}, {"maxmemory", "0"}}

func configGet(s *session, args [][]byte) {
	var found [][2]string
	for _, setting := range settings {
		if slices.ContainsFunc(args[2:], func(pattern []byte) bool {
			match, err := path.Match(lower(pattern), setting[0])
			return match && err == nil
		}) {
			found = append(found, setting)
		}
	}
	s.out.dictionary(len(found))
	for _, setting := range found {
		s.out.text(setting[0])
		s.out.text(setting[1])
	}
}

func commandAll(s *session, _ [][]byte) {
	s.out.array(len(commands))
	for _, name := range commandNames() {
		s.describe(commands[name])
	}
}

func commandCount(s *session, _ [][]byte) { s.out.integer(int64(len(commands))) }

func commandList(s *session, args [][]byte) {
	if len(args) > 2 {
		s.out.err(errSyntax) // FILTERBY
		return
	}
	s.out.array(len(commands))
	for _, name := range commandNames() {
		s.out.text(name)
	}
}

func commandInfo(s *session, args [][]byte) {
	s.out.array(len(args) - 2)
	for _, name := range args[2:] {
		s.describe(lookUp(name))
	}
}

// commandDocs has none.
func commandDocs(s *session, _ [][]byte) { s.out.dictionary(0) }

func commandNames() []string { return slices.Sorted(maps.Keys(commands)) }

// describe tells of a command what Redis tells, in the form of version 7.
func (s *session) describe(c *command) {
	if c == nil {
		s.out.null()
		return
	}
	var words []string
	if c.flags&write != 0 {
		words = append(words, "write")
	} else if c.keys != [3]int{} {
		words = append(words, "readonly")
	}
	if c.flags&quick != 0 {
		words = append(words, "fast")
	}
	if c.flags&noMulti != 0 {
		words = append(words, "no_multi")
	}
	s.out.array(10)
	s.out.text(c.name)
	s.out.integer(int64(c.arity))
	s.out.set(len(words))
	for _, word := range words {
		s.out.raw("+" + word + "\r\n")
	}
	for _, n := range c.keys {
		s.out.integer(int64(n))
	}
	s.out.set(0)   // categories of access control
	s.out.array(0) // tips
	s.out.array(0) // key specifications
	s.out.array(0) // subcommands
}

func selectDB(s *session, args [][]byte) {
	n, isNumber := resp.Integer(args[1])
	switch {
	case !isNumber:
		s.out.err(errNoInteger)
	case n != int64(int32(n)):
		s.out.err("ERR value is out of range, value must between -2147483648 and 2147483647")
	case n != 0:
		s.out.err("ERR DB index is out of range")
	default:
		s.out.raw(ok)
	}
}

func dbsize(s *session, _ [][]byte) { s.out.integer(int64(len(s.server.store.entries))) }

func flushall(s *session, args [][]byte) {
	if len(args) > 2 || (len(args) == 2 && lower(args[1]) != "async" && lower(args[1]) != "sync") {
		s.out.err(errSyntax)
		return
	}
	s.server.store.clear()
	s.out.raw(ok)
}

// info is INFO [section...].
func info(s *session, args [][]byte) {
	server := s.server
	sections := [][2]string{
		{"Server", fmt.Sprintf("redis_version:%s\r\nredis_mode:standalone\r\nuptime_in_seconds:%d\r\n",
			version, int64(time.Since(server.began).Seconds()))},
		{"Clients", fmt.Sprintf("connected_clients:%d\r\n", server.clients.Load())},
		{"Stats", fmt.Sprintf("total_connections_received:%d\r\ntotal_commands_processed:%d\r\n",
			server.ids.Load(), server.processed.Load())},
		{"Keyspace", ""},
	}
	if keys := len(server.store.entries); keys > 0 {
		sections[3][1] = fmt.Sprintf("db0:keys=%d,expires=%d,avg_ttl=0\r\n", keys, len(server.store.deadlines))
	}
	var texts []string
	for _, section := range sections {
		if len(args) == 1 || slices.ContainsFunc(args[1:], func(arg []byte) bool {
			return slices.Contains([]string{strings.ToLower(section[0]), "all", "everything", "default"}, lower(arg))
		}) {
			texts = append(texts, "# "+section[0]+"\r\n"+section[1])
		}
	}
	s.out.verbatim(strings.Join(texts, "\r\n"))
}
