package berthtest

import (
	"fmt"
	"strconv"
)

// shown is how many bytes of a text a failure quotes.
const shown = 200

// show quotes p, the beginning of it if it is long.
func show(p []byte) string {
	if len(p) <= shown {
		return strconv.Quote(string(p))
	}
	return fmt.Sprintf("%q and %d more bytes", p[:shown], len(p)-shown)
}

// differ says where got, the beginning of which should be want's, differs from it.
func differ(want string, got []byte) string {
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	if i < shown/2 {
		return fmt.Sprintf("expected %s, but %s came: byte %d differs", show([]byte(want)), show(got), i)
	}
	from := i - shown/4
	return fmt.Sprintf("expected %d bytes, and byte %d differs: after %q expected %s, but %s came",
		len(want), i, want[from:i], show([]byte(want[i:])), show(got[i:]))
}
