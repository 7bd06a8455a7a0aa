// Package broadcast measures one payload sent to many connections: a Group of Berth beside a server
// on package net that has a goroutine and a channel for each connection and gathers what waits into
// one writev.
//
//	go test -bench . -benchtime 10x -count 7 ./broadcast
package broadcast
