// Package servers runs known servers that are written for package net on Berth's net.Conn bridge
// (package netconn), each with its own client: net/http with HTTP/1.1 and HTTP/2, gliderlabs/ssh,
// emersion/go-smtp with STARTTLS, mochi-mqtt, gRPC, redcon, a hijacked connection of net/http with
// half-closes, and a WebSocket. An echo over TLS is there too; its server on Berth needs no bridge.
//
// The tests compare what a client sees of each with what it sees over package net's own listener.
// The program in directory cost compares time and CPU.
//
// It is a module of its own: the servers stay out of Berth's go.mod.
package servers
