package others

import (
	"bufio"
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/panjf2000/gnet/v2"
	"github.com/tidwall/redcon"

	"github.com/go-berth/berth"
)

// servers serve addr until their process is ended.
var servers = map[string]func(addr string) error{
	"Berth": serveBerth, "goroutine per connection": serveGoroutines, "gnet": serveGnet, "redcon": serveRedcon,
}

func serveBerth(addr string) error {
	lines := berth.HandlerFunc(func(socket berth.Socket, buffer *berth.Buffer) error {
		for {
			line, ok := buffer.ReadLine()
			if !ok {
				return nil
			}
			if _, err := fmt.Fprintf(socket, "%s\n", line); err != nil {
				return err
			}
		}
	})
	slog.SetDefault(slog.New(slog.DiscardHandler))
	server, err := berth.Listen(addr, lines, berth.Options{
		MaxConnections: -1, // as with the others: the kernel's limit is the only one
		Connection:     berth.ConnectionOptions{IdleTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second},
	})
	if err != nil {
		return err
	}
	<-server.Done()
	return nil
}

// serveGoroutines is the final server of a tutorial. It skips an error of Accept, and every
// connection has a goroutine.
func serveGoroutines(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			continue
		}
		go func() {
			defer conn.Close()
			for lines := bufio.NewScanner(conn); lines.Scan(); {
				if _, err := conn.Write(append(lines.Bytes(), '\n')); err != nil {
					return
				}
			}
		}()
	}
}

type gnetLines struct{ gnet.BuiltinEventEngine }

func (*gnetLines) OnTraffic(conn gnet.Conn) gnet.Action {
	unread, err := conn.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	whole := bytes.LastIndexByte(unread, '\n') + 1
	if _, err := conn.Write(unread[:whole]); err != nil {
		return gnet.Close
	}
	if _, err := conn.Discard(whole); err != nil {
		return gnet.Close
	}
	return gnet.None
}

func serveGnet(addr string) error {
	return gnet.Run(&gnetLines{}, "tcp://"+addr, gnet.WithMulticore(true))
}

func serveRedcon(addr string) error {
	return redcon.ListenAndServe(addr,
		func(conn redcon.Conn, command redcon.Command) { conn.WriteBulk(command.Args[1]) },
		func(redcon.Conn) bool { return true },
		func(redcon.Conn, error) {})
}
