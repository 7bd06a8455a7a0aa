// Package clients tests outgoing connections in numbers: dials to a server that refuses, resets,
// stalls and answers at random, and a client that connects again over many restarts of its server.
//
// A plain run does a small part. All of it:
//
//	make dials
package clients
