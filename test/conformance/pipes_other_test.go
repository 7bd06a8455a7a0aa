//go:build !unix

package conformance

import "os"

// pipes are the ways to make a pipe. A read of a blocking pipe cannot be called back here.
var pipes = map[string]func() (r, from *os.File, err error){}
