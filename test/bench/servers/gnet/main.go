//go:build unix

// Command gnet is gnet v2's echo server as its own examples and benchmarks run it: one event loop
// per core (WithMulticore), everything readable taken with Next(-1) and handed to Write.
package main

import (
	"fmt"
	"net"

	"github.com/panjf2000/gnet/v2"
	"golang.org/x/sys/unix"

	"github.com/go-berth/berth/test/bench/servers/peer"
)

type server struct {
	gnet.BuiltinEventEngine
	options peer.Options
}

// OnBoot announces the port the kernel chose; gnet shows it only through a copy of its descriptor.
func (s *server) OnBoot(engine gnet.Engine) gnet.Action {
	addr, err := boundAddress(engine)
	if err != nil {
		peer.Fail(err)
	}
	peer.Announce(addr)
	return gnet.None
}

func (s *server) OnTraffic(conn gnet.Conn) gnet.Action {
	chunk, err := conn.Next(-1)
	if err != nil {
		return gnet.Close
	}
	s.options.Block(chunk)
	if _, err := conn.Write(chunk); err != nil {
		return gnet.Close
	}
	return gnet.None
}

func boundAddress(engine gnet.Engine) (net.Addr, error) {
	fd, err := engine.Dup()
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	name, err := unix.Getsockname(fd)
	if err != nil {
		return nil, err
	}
	switch a := name.(type) {
	case *unix.SockaddrInet4:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}, nil
	case *unix.SockaddrInet6:
		return &net.TCPAddr{IP: a.Addr[:], Port: a.Port}, nil
	}
	return nil, fmt.Errorf("gnet listens on an address of unknown family: %T", name)
}

func main() {
	s := &server{options: peer.Parse()}
	err := gnet.Run(s, "tcp://"+s.options.Addr, gnet.WithMulticore(true), gnet.WithLogger(errorsOnly{}))
	if err != nil {
		peer.Fail(err)
	}
}
