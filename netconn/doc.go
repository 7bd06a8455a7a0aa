// Package netconn is a connection of Berth's as a blocking net.Conn, for code that is written for
// package net: net/http, crypto/tls, bufio, io.Copy.
//
//	l, err := netconn.Listen("127.0.0.1:8080", berth.Options{})
//	if err != nil {
//		log.Fatal(err)
//	}
//	log.Fatal(http.Serve(l, nil))
//
// There are two ways to a Conn. Listen and NewListener return a net.Listener; its Accept hands the
// connections out. Handler and StreamHandler are factories, as all others of package berth: they
// run a function for each connection, on a goroutine of its own.
//
// A Conn behaves as a *net.TCPConn does, with these differences:
//
//   - A Write copies into the connection's queue where the kernel does not take all at once. So an
//     error of the network may be that of a later Write, as with the kernel's own buffer.
//   - Close flushes for CloseTimeout at most, and waits in the background for the peer's FIN, for
//     LingerTimeout at most. Unread input does not make it a reset.
//   - After the peer's reset, what it sent before stays readable: 256 KiB of it without limit, and
//     what lies beyond until no Read has come for LingerTimeout.
//   - Over TLS by TLSConfig a Conn is no *tls.Conn, so net/http does not find the HTTP/2 of it. Put
//     tls.NewListener over the Listener instead.
//
// MaxConnections, MemoryBudget, the PROXY protocol and all other options of a server hold for a
// Conn too. Each limit of time is off unless it is asked for, but CloseTimeout, LingerTimeout and
// HandshakeTimeout. An end by a limit is the error of the next Read and Write.
package netconn
