package main

import (
	"math"
	"strconv"

	"github.com/go-berth/berth/examples/redis/resp"
)

// These commands run with the lock of the store.

// typed returns the entry of a key if it has this type. A key without a value is (nil, true), one
// of another type is answered with an error.
func (s *session) typed(key []byte, want kind) (e *entry, fits bool) {
	e = s.server.store.get(key)
	if e != nil && e.kind != want {
		s.out.err(errWrongType)
		return nil, false
	}
	return e, true
}

func get(s *session, args [][]byte) {
	e, fits := s.typed(args[1], isString)
	switch {
	case !fits:
	case e == nil:
		s.out.null()
	default:
		s.out.bulk(e.text)
	}
}

// setOptions are what may follow SET key value.
type setOptions struct {
	deadline int64 // 0: none
	nx, xx   bool
}

// set is SET key value [EX seconds | PX milliseconds] [NX | XX].
func set(s *session, args [][]byte) {
	var o setOptions
	if len(args) > 3 {
		var problem string
		if o, problem = parseSet(args[3:]); problem != "" {
			s.out.err(problem)
			return
		}
	}
	store := s.server.store
	e := store.get(args[1])
	if (o.nx && e != nil) || (o.xx && e == nil) {
		s.out.null()
		return
	}
	if e == nil {
		e = store.add(args[1], isString)
	}
	e.setText(args[2], s.owned)
	if e.deadline != o.deadline {
		store.expire(e, o.deadline)
	}
	s.out.raw(ok)
}

// units are those of a time after SET, in milliseconds.
var units = map[string]int64{"ex": 1000, "px": 1}

// parseSet looks at the words first and at the time after them, as Redis does. Of two times in the
// same unit the second counts.
func parseSet(options [][]byte) (o setOptions, problem string) {
	var unit int64
	var amount []byte
	for i := 0; i < len(options); i++ {
		word := lower(options[i])
		switch its := units[word]; {
		case word == "nx" && !o.xx:
			o.nx = true
		case word == "xx" && !o.nx:
			o.xx = true
		case its != 0 && (unit == 0 || unit == its) && i+1 < len(options):
			i++
			unit, amount = its, options[i]
		default:
			return o, errSyntax
		}
	}
	if unit == 0 {
		return o, ""
	}
	n, isNumber := resp.Integer(amount)
	if !isNumber {
		return o, errNoInteger
	}
	var fits bool
	if o.deadline, fits = deadlineIn(n, unit); n <= 0 || !fits {
		return o, "ERR invalid expire time in 'set' command"
	}
	return o, ""
}

// deadlineIn is the moment in n units of so many milliseconds, never 0.
func deadlineIn(n, unit int64) (deadline int64, fits bool) {
	now := milliseconds()
	if n > math.MaxInt64/unit || n < math.MinInt64/unit || n*unit > math.MaxInt64-now {
		return 0, false
	}
	deadline = now + n*unit
	if deadline == 0 {
		deadline = -1
	}
	return deadline, true
}

func del(s *session, args [][]byte) {
	store, n := s.server.store, int64(0)
	for _, key := range args[1:] {
		if e := store.get(key); e != nil {
			store.drop(e)
			n++
		}
	}
	s.out.integer(n)
}

func exists(s *session, args [][]byte) {
	n := int64(0)
	for _, key := range args[1:] {
		if s.server.store.get(key) != nil {
			n++
		}
	}
	s.out.integer(n)
}

func incr(s *session, args [][]byte) {
	e, fits := s.typed(args[1], isString)
	if !fits {
		return
	}
	if e == nil {
		e = s.server.store.add(args[1], isString)
		e.text = append(e.text, '0')
	}
	n, isNumber := resp.Integer(e.text)
	switch {
	case !isNumber:
		s.out.err(errNoInteger)
	case n == math.MaxInt64:
		s.out.err("ERR increment or decrement would overflow")
	default:
		e.text = strconv.AppendInt(e.text[:0], n+1, 10)
		s.out.integer(n + 1)
	}
}

// expire is EXPIRE key seconds [NX | XX | GT | LT].
func expire(s *session, args [][]byte) {
	var nx, xx, gt, lt bool
	for _, option := range args[3:] {
		switch lower(option) {
		case "nx":
			nx = true
		case "xx":
			xx = true
		case "gt":
			gt = true
		case "lt":
			lt = true
		default:
			s.out.err("ERR Unsupported option " + string(option))
			return
		}
	}
	switch {
	case nx && (xx || gt || lt):
		s.out.err("ERR NX and XX, GT or LT options at the same time are not compatible")
		return
	case gt && lt:
		s.out.err("ERR GT and LT options at the same time are not compatible")
		return
	}
	n, isNumber := resp.Integer(args[2])
	if !isNumber {
		s.out.err(errNoInteger)
		return
	}
	deadline, fits := deadlineIn(n, 1000)
	if !fits {
		s.out.err("ERR invalid expire time in 'expire' command")
		return
	}
	store := s.server.store
	e := store.get(args[1])
	if e == nil || (nx && e.deadline != 0) || (xx && e.deadline == 0) ||
		(gt && (e.deadline == 0 || deadline <= e.deadline)) || (lt && e.deadline != 0 && deadline >= e.deadline) {
		s.out.integer(0)
		return
	}
	if n <= 0 {
		store.drop(e)
	} else {
		store.expire(e, deadline)
	}
	s.out.integer(1)
}

func ttl(s *session, args [][]byte) {
	e := s.server.store.get(args[1])
	switch {
	case e == nil:
		s.out.integer(-2)
	case e.deadline == 0:
		s.out.integer(-1)
	default:
		s.out.integer((e.deadline - milliseconds() + 500) / 1000)
	}
}

func mset(s *session, args [][]byte) {
	if len(args)%2 == 0 {
		s.out.err(wrongNumber("mset"))
		return
	}
	store := s.server.store
	for i := 1; i < len(args); i += 2 {
		e := store.get(args[i])
		if e == nil {
			e = store.add(args[i], isString)
		}
		e.setText(args[i+1], s.owned)
		if e.deadline != 0 {
			store.expire(e, 0)
		}
	}
	s.out.raw(ok)
}

func mget(s *session, args [][]byte) {
	s.out.array(len(args) - 1)
	for _, key := range args[1:] {
		if e := s.server.store.get(key); e != nil && e.kind == isString {
			s.out.bulk(e.text)
		} else {
			s.out.null()
		}
	}
}

// keep returns an argument that may be kept.
func (s *session) keep(arg []byte) []byte {
	if s.owned && len(arg) >= ownMemory {
		return arg
	}
	return append(make([]byte, 0, len(arg)), arg...)
}

func lpush(s *session, args [][]byte) {
	e, fits := s.typed(args[1], isList)
	if !fits {
		return
	}
	if e == nil {
		e = s.server.store.add(args[1], isList)
	}
	for _, element := range args[2:] {
		e.list = append(e.list, s.keep(element))
	}
	s.out.integer(int64(len(e.list)))
}

func lrange(s *session, args [][]byte) {
	start, ok1 := resp.Integer(args[2])
	stop, ok2 := resp.Integer(args[3])
	if !ok1 || !ok2 {
		s.out.err(errNoInteger)
		return
	}
	e, fits := s.typed(args[1], isList)
	if !fits {
		return
	}
	var list [][]byte
	if e != nil {
		list = e.list
	}
	n := int64(len(list))
	if start < 0 {
		start = max(start+n, 0)
	}
	if stop < 0 {
		stop += n
	}
	stop = min(stop, n-1)
	if start > stop {
		s.out.array(0)
		return
	}
	s.out.array(int(stop - start + 1))
	for i := start; i <= stop; i++ {
		s.out.bulk(list[n-1-i])
	}
}

func hset(s *session, args [][]byte) {
	if len(args)%2 == 1 {
		s.out.err(wrongNumber("hset"))
		return
	}
	e, fits := s.typed(args[1], isHash)
	if !fits {
		return
	}
	if e == nil {
		e = s.server.store.add(args[1], isHash)
		e.hash = &hash{places: map[string]int{}}
	}
	added := int64(0)
	for i := 2; i < len(args); i += 2 {
		if place, found := e.hash.places[string(args[i])]; found {
			e.hash.pairs[place].value = s.keep(args[i+1])
			continue
		}
		field := string(args[i])
		e.hash.places[field] = len(e.hash.pairs)
		e.hash.pairs = append(e.hash.pairs, pair{field, s.keep(args[i+1])})
		added++
	}
	s.out.integer(added)
}

func hgetall(s *session, args [][]byte) {
	e, fits := s.typed(args[1], isHash)
	switch {
	case !fits:
	case e == nil:
		s.out.dictionary(0)
	default:
		s.out.dictionary(len(e.hash.pairs))
		for _, p := range e.hash.pairs {
			s.out.text(p.field)
			s.out.bulk(p.value)
		}
	}
}
