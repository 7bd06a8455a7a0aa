package resp_test

import (
	"regexp"
	"strconv"
	"strings"
)

// reference is a decoder of a whole stream, written from the description of the protocol: it works
// on strings, looks at each command from its beginning, and knows nothing of pieces.
type reference struct {
	bulk, arguments, line, command int
}

var lengthLine = regexp.MustCompile(`^(0|-?[1-9]\d*)\r$`)

// decode returns the commands of stream, and the problem of what follows them, if it is known.
func (r reference) decode(stream string) (commands [][]string, problem string) {
	for stream != "" {
		first, rest, whole := strings.Cut(stream, "\n")
		array := stream[0] == '*'
		if len(first) > r.line && array {
			return commands, "too big mbulk count string"
		} else if len(first) > r.line {
			return commands, "too big inline request"
		}
		if !whole {
			return commands, ""
		}
		var args []string
		if array {
			args, rest, whole, problem = r.array(first[1:], rest)
			if problem != "" || !whole {
				return commands, problem
			}
		} else {
			var ok bool
			if args, ok = words(strings.TrimSuffix(first, "\r")); !ok {
				return commands, "unbalanced quotes in request"
			}
		}
		stream = rest
		if len(args) > 0 {
			commands = append(commands, args)
		}
	}
	return commands, ""
}

func (r reference) array(head, stream string) (args []string, rest string, whole bool, problem string) {
	count, err := strconv.ParseInt(strings.TrimSuffix(head, "\r"), 10, 64)
	if !lengthLine.MatchString(head) || err != nil || count > int64(r.arguments) {
		return nil, "", false, "invalid multibulk length"
	}
	total := 0
	for range count {
		if stream == "" {
			return nil, "", false, ""
		}
		if stream[0] != '$' {
			return nil, "", false, "expected '$', got '" + strings.NewReplacer("\r", " ", "\n", " ").Replace(stream[:1]) + "'"
		}
		line, after, found := strings.Cut(stream, "\n")
		if len(line) > r.line {
			return nil, "", false, "too big bulk count string"
		}
		if !found {
			return nil, "", false, ""
		}
		size, err := strconv.ParseInt(strings.TrimSuffix(line[1:], "\r"), 10, 64)
		if !lengthLine.MatchString(line[1:]) || err != nil || size < 0 || size > int64(r.bulk) {
			return nil, "", false, "invalid bulk length"
		}
		if total += int(size) + 24; total > r.command {
			return nil, "", false, "too big request"
		}
		if len(after) < int(size) {
			return nil, "", false, ""
		}
		argument, end := after[:size], after[size:]
		if !strings.HasPrefix(end, "\r\n") {
			if end == "" || end == "\r" {
				return nil, "", false, ""
			}
			return nil, "", false, "invalid bulk length"
		}
		args, stream = append(args, argument), end[2:]
	}
	return args, stream, true, ""
}

var (
	double = regexp.MustCompile(`(?s)^"(?:\\.|[^"\\])*"`)
	escape = regexp.MustCompile(`(?s)\\x[0-9a-fA-F]{2}|\\.`)
)

const blanks = " \t\n\v\f\r"

func words(line string) (args []string, ok bool) {
	for {
		line = strings.TrimLeft(line, blanks)
		if line == "" {
			return args, true
		}
		end := strings.IndexAny(line, blanks+`"'`)
		if end < 0 {
			return append(args, line), true
		}
		plain := line[:end]
		var quoted string
		line = line[end:]
		switch line[0] {
		case '"':
			quoted = double.FindString(line)
			if quoted == "" {
				return nil, false
			}
			line = line[len(quoted):]
			quoted = escape.ReplaceAllStringFunc(quoted[1:len(quoted)-1], func(e string) string {
				if len(e) == 4 && e[1] == 'x' { // else it is a letter of three bytes
					n, _ := strconv.ParseUint(e[2:], 16, 8)
					return string([]byte{byte(n)})
				}
				if plain, found := map[string]string{`\n`: "\n", `\r`: "\r", `\t`: "\t", `\b`: "\b", `\a`: "\a"}[e]; found {
					return plain
				}
				return e[1:]
			})
		case '\'':
			// Without its escaped quotes, the next quote is the last.
			end := strings.Index(strings.ReplaceAll(line[1:], `\'`, "xx"), "'")
			if end < 0 {
				return nil, false
			}
			quoted = strings.ReplaceAll(line[1:1+end], `\'`, "'")
			line = line[end+2:]
		default:
			args = append(args, plain)
			continue
		}
		if line != "" && !strings.Contains(blanks, line[:1]) {
			return nil, false
		}
		args = append(args, plain+quoted)
	}
}
