package resp

import (
	"bytes"
	"errors"

	"github.com/go-berth/berth"
)

// Limits bound what a client may send. In each field 0 is the default.
type Limits struct {
	// Bulk is the most bytes of one argument. Default 512 MiB, which is the default of Redis'
	// proto-max-bulk-len.
	Bulk int
	// Arguments is the most arguments of one command, its name included. Default 1,048,576.
	Arguments int
	// Inline is the most bytes of a line: an inline command, or the length in front of an array or
	// an argument. Default 64 KiB, as in Redis.
	Inline int
	// Command is the most bytes of one command: its arguments, and 24 bytes for each of them.
	// Default 1 GiB, which is the default of Redis' client-query-buffer-limit.
	Command int
}

// The defaults of Limits.
const (
	DefaultBulk      = 512 << 20
	DefaultArguments = 1 << 20
	DefaultInline    = 64 << 10
	DefaultCommand   = 1 << 30
)

// argumentBytes is what an argument takes beside its bytes: the slice that shows it.
const argumentBytes = 24

// Command is one request: Args[0] is its name, and there is always a name.
type Command struct {
	// Args are valid until the handler returns, or until the next call of Next.
	Args [][]byte
	// Owned: the bytes of the arguments lie in memory that belongs to the command. They may be kept
	// and changed. Args itself may not be kept. An argument of at least 4 KiB then has memory of
	// its own; shorter ones share theirs with their neighbours.
	Owned bool
}

// ErrIncomplete is what Next returns, as it is, if the Buffer holds no whole command any more.
var ErrIncomplete = errors.New("resp: no whole command yet")

// ProtocolError is the error of bytes that are no command: the words that Redis has for it. The
// stream has no known command from there on.
type ProtocolError struct{ Problem string }

// Error returns Redis' sentence, which follows "-ERR " in its reply.
func (e *ProtocolError) Error() string { return "Protocol error: " + e.Problem }

// Parser decodes the commands of one connection. The zero value is ready and has the default
// limits. It is not for use by several goroutines.
type Parser struct {
	Limits Limits // to be set before the first Next

	args    [][]byte // of the current command, or of the one that has begun
	partial partial  // of a command that has not come whole
	err     error    // the stream has no known command any more
}

// Next consumes the next command of b. Without a whole command it consumes what there is, keeps it,
// and returns ErrIncomplete. An array without elements and an empty line are no commands, and are
// passed over. Any other error is a *ProtocolError, which every later call returns again.
func (p *Parser) Next(b *berth.Buffer) (Command, error) {
	if cap(p.args) > keptArguments && p.partial.state == atStart {
		p.args = nil
	}
	for b.Len() > 0 && p.err == nil {
		if p.partial.state == atStart && len(p.partial.line) == 0 { // else a line has begun
			if n := p.whole(b.Bytes()); n > 0 {
				b.Discard(n)
				return Command{Args: p.args}, nil
			}
		}
		n, done, err := p.feed(b.Bytes())
		b.Discard(n)
		switch {
		case err != nil:
			p.err = err
			p.args, p.partial = nil, partial{}
		case done && len(p.args) > 0:
			return Command{Args: p.args, Owned: true}, nil
		}
	}
	if p.err != nil {
		return Command{}, p.err
	}
	return Command{}, ErrIncomplete
}

// keptArguments is for how many arguments a connection keeps the memory of Args between commands.
const keptArguments = 64

// whole decodes an array that is whole at the beginning of data into args, and returns its length.
// It returns 0 for everything else: an array of which something is missing, an array with an error
// in it, and an inline command. Those are for feed, which knows every rule.
func (p *Parser) whole(data []byte) (n int) {
	if data[0] != '*' {
		return 0
	}
	count, at := length(data, 1)
	if at < 0 || count == 0 || count > orDefault(p.Limits.Arguments, DefaultArguments) {
		return 0
	}
	most, left := orDefault(p.Limits.Bulk, DefaultBulk), orDefault(p.Limits.Command, DefaultCommand)
	p.args = p.args[:0]
	for range count {
		if at >= len(data) || data[at] != '$' {
			return 0
		}
		size, from := length(data, at+1)
		if from < 0 || size > most || size > len(data)-from-2 {
			return 0
		}
		to := from + size
		if left -= size + argumentBytes; left < 0 || data[to] != '\r' || data[to+1] != '\n' {
			return 0
		}
		p.args = append(p.args, data[from:to:to])
		at = to + 2
	}
	return at
}

// length reads a length of at most 9 digits from data[at:], with its CR LF. next is the position
// behind them, negative if anything else is there.
func length(data []byte, at int) (n, next int) {
	for i := at; i < len(data) && i-at <= 9; i++ {
		if digit := data[i] - '0'; digit <= 9 {
			n = 10*n + int(digit)
			continue
		}
		if i == at || (data[at] == '0' && i > at+1) || data[i] != '\r' || i+1 == len(data) || data[i+1] != '\n' {
			return 0, -1
		}
		return n, i + 2
	}
	return 0, -1
}

// state is what the next byte of a command in pieces belongs to.
type state uint8

const (
	atStart state = iota // the first line: the length of an array, or an inline command
	atSize               // the line with the length of an argument
	inBulk               // an argument
	atCR                 // the line end behind an argument
	atLF
)

// partial is a command of which not everything has come. Its arguments so far are in Parser.args.
type partial struct {
	state state
	line  []byte // the beginning of a line
	left  int    // arguments that have not begun
	bytes int    // what the arguments so far take, against Limits.Command
	size  int    // of the argument under way
	bulk  []byte // as much of it as has come
	block []byte // memory for the next short arguments: its length is used
}

// feed decodes data until a command is whole (done), data is at its end, or there is an error, and
// returns how much of data that was. A command without arguments is done too.
func (p *Parser) feed(data []byte) (n int, done bool, err error) {
	for n < len(data) {
		used, done, err := p.step(data[n:])
		n += used
		if done || err != nil {
			p.partial.state, p.partial.block = atStart, nil
			return n, done, err
		}
	}
	return n, false, nil
}

// step does what the state asks for with data, which is not empty.
func (p *Parser) step(data []byte) (n int, done bool, err error) {
	q := &p.partial
	switch q.state {
	case atStart:
		line, n, err := p.wholeLine(data)
		if line == nil {
			return n, false, err
		}
		done, err := p.begin(line)
		return n, done, err
	case atSize:
		if len(q.line) == 0 && data[0] != '$' {
			return 0, false, &ProtocolError{"expected '$', got '" + printable(data[0]) + "'"}
		}
		line, n, err := p.wholeLine(data)
		if line == nil {
			return n, false, err
		}
		return n, false, p.announce(line)
	case inBulk:
		n = min(len(data), q.size-len(q.bulk))
		q.bulk = append(p.room(n), data[:n]...)
		if len(q.bulk) == q.size {
			q.state = atCR
		}
		return n, false, nil
	case atCR:
		if data[0] != '\r' {
			return 0, false, errBulkLength // Redis does not look; the lengths of such a client are wrong
		}
		q.state = atLF
		return 1, false, nil
	default: // atLF
		if data[0] != '\n' {
			return 0, false, errBulkLength
		}
		p.args = append(p.args, q.bulk)
		q.bulk = nil
		q.left--
		q.state = atSize
		return 1, q.left == 0, nil
	}
}

var (
	errArrayLength = &ProtocolError{"invalid multibulk length"}
	errBulkLength  = &ProtocolError{"invalid bulk length"}
	errCommand     = &ProtocolError{"too big request"} // Redis closes without a word
)

// wholeLine returns a line without its LF, as far back as it began, and how much of data belongs to
// it. A nil line has not come whole; what there is of it is kept. The line is valid until the next
// call.
func (p *Parser) wholeLine(data []byte) (line []byte, n int, err error) {
	n = bytes.IndexByte(data, '\n')
	came := n
	if n < 0 {
		came = len(data)
	}
	if len(p.partial.line)+came > orDefault(p.Limits.Inline, DefaultInline) {
		return nil, 0, p.lineTooLong(data)
	}
	if n < 0 {
		p.partial.line = append(p.partial.line, data...)
		return nil, len(data), nil
	}
	line = data[:n:n]
	if held := p.partial.line; len(held) > 0 {
		line = append(held, line...)
	}
	p.partial.line = nil
	return line, n + 1, nil
}

// lineTooLong is the error of a line that has no end within the limit.
func (p *Parser) lineTooLong(data []byte) error {
	first := data[0]
	if len(p.partial.line) > 0 {
		first = p.partial.line[0]
	}
	switch {
	case p.partial.state == atSize:
		return &ProtocolError{"too big bulk count string"}
	case first == '*':
		return &ProtocolError{"too big mbulk count string"}
	default:
		return &ProtocolError{"too big inline request"}
	}
}

// begin takes the first line of a command. done: it was the whole command.
func (p *Parser) begin(line []byte) (done bool, err error) {
	p.args = p.args[:0]
	if len(line) == 0 || line[0] != '*' {
		p.args, err = splitInline(p.args, bytes.TrimSuffix(line, []byte{'\r'}))
		return true, err
	}
	count, ok := number(line[1:])
	if !ok || count > int64(orDefault(p.Limits.Arguments, DefaultArguments)) {
		return false, errArrayLength
	}
	if count <= 0 {
		return true, nil
	}
	p.partial = partial{state: atSize, left: int(count)}
	return false, nil
}

// announce takes the line with the length of an argument.
func (p *Parser) announce(line []byte) error {
	q := &p.partial
	size, ok := number(line[1:])
	if !ok || size < 0 || size > int64(orDefault(p.Limits.Bulk, DefaultBulk)) {
		return errBulkLength
	}
	q.size = int(size)
	if q.size > orDefault(p.Limits.Command, DefaultCommand)-q.bytes-argumentBytes {
		return errCommand
	}
	q.bytes += q.size + argumentBytes
	q.state, q.bulk = inBulk, p.memory(q.size)
	if q.size == 0 {
		q.state = atCR
	}
	return nil
}

const (
	ownMemory = 4 << 10  // an argument from here on has memory of its own
	firstPart = 64 << 10 // the most memory for an argument of which nothing has come
)

// memory returns an empty slice for an argument. A long argument that is only announced gets a part
// of what it wants.
func (p *Parser) memory(size int) []byte {
	if size >= ownMemory {
		return make([]byte, 0, min(size, firstPart))
	}
	block := p.partial.block
	if cap(block)-len(block) < size {
		block = make([]byte, 0, max(size, min(ownMemory, 2*cap(block)), 64))
	}
	from := len(block)
	p.partial.block = block[:from+size]
	return block[from : from : from+size]
}

// room returns the argument under way with room for n more bytes. Its memory doubles, so the copies
// are together shorter than the argument.
func (p *Parser) room(n int) []byte {
	q := &p.partial
	if len(q.bulk)+n <= cap(q.bulk) {
		return q.bulk
	}
	larger := make([]byte, len(q.bulk), min(q.size, max(2*cap(q.bulk), len(q.bulk)+n)))
	copy(larger, q.bulk)
	return larger
}

// number reads a line as Redis reads a length: a decimal number without a sign other than -,
// without a leading zero, and with a CR behind it.
func number(line []byte) (n int64, ok bool) {
	digits, found := bytes.CutSuffix(line, []byte{'\r'})
	if !found {
		return 0, false
	}
	return Integer(digits)
}

// Integer reads a decimal number as Redis does: all of the text, without a plus sign, a leading
// zero or a blank.
func Integer(text []byte) (n int64, ok bool) {
	digits, negative := bytes.CutPrefix(text, []byte{'-'})
	if len(digits) == 0 || len(digits) > 19 || (digits[0] == '0' && len(text) > 1) {
		return 0, false
	}
	var u uint64
	for _, c := range digits {
		if c < '0' || c > '9' {
			return 0, false
		}
		u = 10*u + uint64(c-'0')
	}
	switch {
	case negative && u <= 1<<63:
		return -int64(u), true
	case !negative && u < 1<<63:
		return int64(u), true
	}
	return 0, false
}

// printable is a byte as an error shows it. A line end would end the reply.
func printable(c byte) string {
	if c == '\r' || c == '\n' {
		return " "
	}
	return string([]byte{c})
}

func orDefault(limit, standard int) int {
	if limit == 0 {
		return standard
	}
	return limit
}
