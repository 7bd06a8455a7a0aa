package main

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// command is one row of the table of commands.
type command struct {
	name  string
	arity int // of the name and its arguments; negative: at least so many
	flags flags
	keys  [3]int // the first and the last key among the arguments, and the step between them, as COMMAND tells
	run   func(s *session, args [][]byte)
}

type flags uint8

const (
	keyspace     flags = 1 << iota // it runs with the lock of the store
	write                          // it changes keys
	quick                          // its time does not depend on how much there is
	subscriber                     // a RESP2 client that has subscriptions may use it
	noMulti                        // not in a transaction; Redis allows SUBSCRIBE and UNSUBSCRIBE there
	transactions                   // it is not queued in a transaction
	container                      // it has subcommands
)

// commands and subcommands are by name, in lower case. That of a subcommand is client|id.
var commands, subcommands = map[string]*command{}, map[string]*command{}

func init() { // not in the declaration: COMMAND lists it
	for _, c := range []command{
		{"ping", -1, quick | subscriber, [3]int{}, ping},
		{"echo", 2, quick, [3]int{}, echo},
		{"quit", -1, quick | subscriber | transactions, [3]int{}, quit},
		{"hello", -1, quick, [3]int{}, hello},
		{"client", -2, container, [3]int{}, nil},
		{"client|getname", 2, 0, [3]int{}, clientGetName},
		{"client|id", 2, 0, [3]int{}, clientID},
		{"client|info", 2, 0, [3]int{}, clientInfo},
		{"client|setinfo", 4, 0, [3]int{}, clientSetInfo},
		{"client|setname", 3, 0, [3]int{}, clientSetName},
		{"command", -1, container, [3]int{}, commandAll},
		{"command|count", 2, 0, [3]int{}, commandCount},
		{"command|docs", -2, 0, [3]int{}, commandDocs},
		{"command|info", -2, 0, [3]int{}, commandInfo},
		{"command|list", -2, 0, [3]int{}, commandList},
		{"config", -2, container, [3]int{}, nil},
		{"config|get", -3, 0, [3]int{}, configGet},
		{"info", -1, keyspace, [3]int{}, info},
		{"select", 2, quick, [3]int{}, selectDB},
		{"dbsize", 1, keyspace | quick, [3]int{}, dbsize},
		{"flushall", -1, keyspace | write, [3]int{}, flushall},

		{"set", -3, keyspace | write, [3]int{1, 1, 1}, set},
		{"get", 2, keyspace | quick, [3]int{1, 1, 1}, get},
		{"del", -2, keyspace | write, [3]int{1, -1, 1}, del},
		{"exists", -2, keyspace | quick, [3]int{1, -1, 1}, exists},
		{"incr", 2, keyspace | write | quick, [3]int{1, 1, 1}, incr},
		{"expire", -3, keyspace | write | quick, [3]int{1, 1, 1}, expire},
		{"ttl", 2, keyspace | quick, [3]int{1, 1, 1}, ttl},
		{"mset", -3, keyspace | write, [3]int{1, -1, 2}, mset},
		{"mget", -2, keyspace | quick, [3]int{1, -1, 1}, mget},
		{"lpush", -3, keyspace | write | quick, [3]int{1, 1, 1}, lpush},
		{"lrange", 4, keyspace, [3]int{1, 1, 1}, lrange},
		{"hset", -4, keyspace | write | quick, [3]int{1, 1, 1}, hset},
		{"hgetall", 2, keyspace, [3]int{1, 1, 1}, hgetall},

		{"subscribe", -2, subscriber | noMulti, [3]int{}, subscribe},
		{"unsubscribe", -1, subscriber | noMulti, [3]int{}, unsubscribe},
		{"publish", 3, quick, [3]int{}, publish},

		{"multi", 1, quick | noMulti | transactions, [3]int{}, multi},
		{"exec", 1, transactions, [3]int{}, exec},
		{"discard", 1, quick | transactions, [3]int{}, discard},
	} {
		if strings.Contains(c.name, "|") {
			subcommands[c.name] = &c
		} else {
			commands[c.name] = &c
		}
	}
}

// longestName is that of a command of the table, with some room.
const longestName = 16

// lookUp finds a command by its name in any case, nil if there is none.
func lookUp(name []byte) *command {
	var lower [longestName]byte
	if len(name) > len(lower) {
		return nil
	}
	for i, c := range name {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		lower[i] = c
	}
	return commands[string(lower[:len(name)])]
}

// errHTTP ends a connection whose client speaks HTTP: a web page that was made to talk to this
// server. Redis does the same.
var errHTTP = errors.New(`redis: the client sent "POST" or "Host:", which looks like HTTP`)

// execute answers one command, or queues it.
func (s *session) execute(args [][]byte) {
	s.server.processed.Add(1)
	c := lookUp(args[0])
	if c != nil && c.flags&container != 0 && len(args) > 1 {
		if c = subcommands[c.name+"|"+lower(args[1])]; c == nil {
			s.refuse(unknownSubcommand(args))
			return
		}
	}
	switch {
	case c == nil:
		if bytes.EqualFold(args[0], []byte("post")) || bytes.EqualFold(args[0], []byte("host:")) {
			s.failed = errHTTP
			return
		}
		s.refuse(unknown(args))
	case len(args) != c.arity && (c.arity > 0 || len(args) < -c.arity):
		if c.name == "exec" {
			s.transaction = transaction{}
			s.out.err("EXECABORT Transaction discarded because of: " + strings.TrimPrefix(wrongNumber(c.name), "ERR "))
			return
		}
		s.refuse(wrongNumber(c.name))
	case len(s.subscriptions) > 0 && !s.out.three && c.flags&subscriber == 0:
		s.refuse("ERR Can't execute '" + c.name +
			"': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
	case s.transaction.open && c.flags&noMulti != 0 && c.name != "multi":
		s.refuse("ERR Command not allowed inside a transaction")
	case s.transaction.open && c.flags&transactions == 0:
		s.queue(c, args)
	case c.flags&keyspace != 0:
		s.withKeyspace(c, args)
	default:
		c.run(s, args)
	}
}

// withKeyspace runs a command that works on keys. A panic in it leaves the lock free for others.
func (s *session) withKeyspace(c *command, args [][]byte) {
	store := s.server.store
	store.mu.Lock()
	defer store.mu.Unlock()
	store.dropDue()
	c.run(s, args)
}

// refuse answers a command that does not run. It spoils the transaction that is open.
func (s *session) refuse(text string) {
	s.transaction.spoilt = s.transaction.open
	s.out.err(text)
}

// unknown is Redis' sentence, which shows the first 128 bytes of the name and of all arguments.
func unknown(args [][]byte) string {
	var shown strings.Builder
	for _, arg := range args[1:] {
		if shown.Len() >= 128 {
			break
		}
		fmt.Fprintf(&shown, "'%s' ", first(128-shown.Len(), arg))
	}
	return fmt.Sprintf("ERR unknown command '%s', with args beginning with: %s", first(128, args[0]), shown.String())
}

func unknownSubcommand(args [][]byte) string {
	return fmt.Sprintf("ERR unknown subcommand '%s'. Try %s HELP.", first(128, args[1]), strings.ToUpper(string(args[0])))
}

// first returns at most the first n bytes.
func first(n int, arg []byte) []byte { return arg[:min(n, len(arg))] }

func wrongNumber(name string) string {
	return "ERR wrong number of arguments for '" + name + "' command"
}

const (
	errSyntax    = "ERR syntax error"
	errNoInteger = "ERR value is not an integer or out of range"
	errWrongType = "WRONGTYPE Operation against a key holding the wrong kind of value"
)

// lower is an argument that is a word, in lower case.
func lower(arg []byte) string { return strings.ToLower(string(arg)) }
