// Redcon is the peer of examples/redis in measurements: SET, GET, PING on redcon, as redcon's own
// README shows them, with a map and a lock.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"strings"
	"sync"

	"github.com/tidwall/redcon"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:6380", "address to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("listening on", listener.Addr())
	var mu sync.RWMutex
	items := map[string][]byte{}
	log.Fatal(redcon.Serve(listener, func(conn redcon.Conn, cmd redcon.Command) {
		switch strings.ToLower(string(cmd.Args[0])) {
		default:
			conn.WriteError("ERR unknown command '" + string(cmd.Args[0]) + "'")
		case "ping":
			conn.WriteString("PONG")
		case "set":
			value := append([]byte(nil), cmd.Args[2]...)
			mu.Lock()
			items[string(cmd.Args[1])] = value
			mu.Unlock()
			conn.WriteString("OK")
		case "get":
			mu.RLock()
			value, found := items[string(cmd.Args[1])]
			mu.RUnlock()
			if found {
				conn.WriteBulk(value)
			} else {
				conn.WriteNull()
			}
		}
	}, func(redcon.Conn) bool { return true }, nil))
}
