// Package peer is what every Go peer server shares: Berth's flags as far as they mean something
// to it, the line that says where it listens, and the handler that blocks on request.
package peer

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"time"
)

// Options are the flags a peer server takes; they carry the names examples/echo gives them.
type Options struct {
	Addr           string        // -addr: HOST:PORT to listen on; port 0 lets the kernel choose
	ReadBufferSize int           // -read-buffer-size: bytes per read, where the peer has such a setting
	Sleep          time.Duration // -sleep: how long a chunk that begins with "sleep" blocks its handler; 0: never
}

// Parse reads the command line. A wrong flag ends the process with status 2.
func Parse() Options {
	var o Options
	flag.StringVar(&o.Addr, "addr", "127.0.0.1:0", "HOST:PORT to listen on")
	flag.IntVar(&o.ReadBufferSize, "read-buffer-size", 4096, "bytes per read, where the server has such a setting")
	flag.DurationVar(&o.Sleep, "sleep", 0, `how long a chunk that begins with "sleep" blocks its handler`)
	flag.Parse()
	if o.ReadBufferSize < 1 {
		log.Fatalf("-read-buffer-size must be at least 1, not %d", o.ReadBufferSize)
	}
	return o
}

var sleepWord = []byte("sleep")

// Block sleeps in the calling handler if blocking is on and the chunk asks for it.
func (o Options) Block(chunk []byte) {
	if o.Sleep > 0 && bytes.HasPrefix(chunk, sleepWord) {
		time.Sleep(o.Sleep)
	}
}

// Announce prints the one line the launcher waits for.
func Announce(addr net.Addr) {
	fmt.Printf("listening on %s\n", addr)
}

// Fail ends the process with one sentence on standard error.
func Fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
