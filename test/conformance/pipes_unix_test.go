//go:build unix

package conformance

import (
	"os"
	"syscall"
)

// pipes are the ways to make a pipe.
var pipes = map[string]func() (r, from *os.File, err error){
	"a pipe": os.Pipe,
	"a pipe that blocks": func() (r, from *os.File, err error) {
		var ends [2]int
		if err := syscall.Pipe(ends[:]); err != nil {
			return nil, nil, err
		}
		return os.NewFile(uintptr(ends[0]), "r"), os.NewFile(uintptr(ends[1]), "from"), nil
	},
}
