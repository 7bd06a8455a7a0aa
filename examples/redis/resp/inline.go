package resp

import "strings"

var errQuotes = &ProtocolError{"unbalanced quotes in request"}

// splitInline appends copies of the words of line to args. A word may be quoted: within "double
// quotes" a backslash begins \n, \r, \t, \b, \a, \xHH, or stands for the character behind it;
// within 'single quotes' only \' is special. Behind a closing quote there must be a blank or the
// end.
func splitInline(args [][]byte, line []byte) ([][]byte, error) {
	words := make([]byte, 0, len(line)) // all words together are not longer than the line
	for i := 0; ; {
		for i < len(line) && blank(line[i]) {
			i++
		}
		if i == len(line) {
			return args, nil
		}
		from := len(words)
		for i < len(line) && !blank(line[i]) {
			quote := line[i]
			if quote != '"' && quote != '\'' {
				words = append(words, quote)
				i++
				continue
			}
			var n int
			if words, n = unquote(words, line[i+1:], quote); n < 0 {
				return args, errQuotes
			}
			i += 1 + n
			if i < len(line) && !blank(line[i]) {
				return args, errQuotes
			}
		}
		args = append(args, words[from:len(words):len(words)])
	}
}

// unquote appends what stands in text up to the closing quote, and returns how much of text that
// was, the quote included; negative if there is none.
func unquote(to, text []byte, quote byte) (words []byte, n int) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		switch {
		case c == quote:
			return to, i + 1
		case c != '\\' || i+1 == len(text) || (quote == '\'' && text[i+1] != '\''):
			to = append(to, c)
		case quote == '"' && text[i+1] == 'x' && i+3 < len(text) && hex(text[i+2]) >= 0 && hex(text[i+3]) >= 0:
			to = append(to, byte(hex(text[i+2])<<4|hex(text[i+3])))
			i += 3
		default:
			i++
			to = append(to, escaped(text[i], quote))
		}
	}
	return to, -1
}

// escaped is what a backslash before c stands for.
func escaped(c, quote byte) byte {
	const from, to = "nrtba", "\n\r\t\b\a"
	if i := strings.IndexByte(from, c); quote == '"' && i >= 0 {
		return to[i]
	}
	return c
}

// hex is the value of a hexadecimal digit, negative for every other byte.
func hex(c byte) int {
	if c >= 'A' && c <= 'F' {
		c += 'a' - 'A'
	}
	return strings.IndexByte("0123456789abcdef", c)
}

// blank is isspace of C.
func blank(c byte) bool { return c == ' ' || (c >= '\t' && c <= '\r') }
