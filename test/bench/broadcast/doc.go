// Package broadcast measures one payload sent to many connections. It compares a Group of Berth
// with a server on package net that has a goroutine and a channel for each connection and gathers
// the waiting payloads into one writev.
//
//	go test -bench . -benchtime 10x -count 7 ./broadcast
package broadcast
