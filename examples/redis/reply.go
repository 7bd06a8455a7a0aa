package main

import (
	"strconv"
	"strings"
)

// reply builds the answers to the commands of one Data, which go out together.
type reply struct {
	b     []byte
	three bool // in RESP3
}

// Replies that need no building.
const (
	ok     = "+OK\r\n"
	queued = "+QUEUED\r\n"
	pong   = "+PONG\r\n"
)

func (r *reply) raw(s string) { r.b = append(r.b, s...) }

// err is an error reply; a line end in it becomes a blank, as it would end the reply.
func (r *reply) err(text string) {
	r.b = append(r.b, '-')
	r.b = append(r.b, strings.NewReplacer("\r", " ", "\n", " ").Replace(text)...)
	r.b = append(r.b, "\r\n"...)
}

func (r *reply) head(kind byte, n int) {
	r.b = append(r.b, kind)
	r.b = strconv.AppendInt(r.b, int64(n), 10)
	r.b = append(r.b, "\r\n"...)
}

func (r *reply) integer(n int64) {
	r.b = append(r.b, ':')
	r.b = strconv.AppendInt(r.b, n, 10)
	r.b = append(r.b, "\r\n"...)
}

func (r *reply) bulk(p []byte) {
	r.head('$', len(p))
	r.b = append(r.b, p...)
	r.b = append(r.b, "\r\n"...)
}

func (r *reply) text(s string) {
	r.head('$', len(s))
	r.b = append(r.b, s...)
	r.b = append(r.b, "\r\n"...)
}

// verbatim is a text for people.
func (r *reply) verbatim(s string) {
	if !r.three {
		r.text(s)
		return
	}
	r.head('=', len(s)+4)
	r.raw("txt:" + s + "\r\n")
}

func (r *reply) array(n int) { r.head('*', n) }

// dictionary is a map of n pairs, in RESP2 an array of twice as many.
func (r *reply) dictionary(n int) {
	if r.three {
		r.head('%', n)
	} else {
		r.head('*', 2*n)
	}
}

func (r *reply) set(n int) {
	if r.three {
		r.head('~', n)
	} else {
		r.head('*', n)
	}
}

// push is something that answers no command.
func (r *reply) push(n int) {
	if r.three {
		r.head('>', n)
	} else {
		r.head('*', n)
	}
}

func (r *reply) null() {
	if r.three {
		r.raw("_\r\n")
	} else {
		r.raw("$-1\r\n")
	}
}
