package main

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/go-berth/berth"
)

// lines is the handler. It has no state: what was asked before is answered by the time that a call
// returns.
type lines struct{ process int }

// Data answers every complete line, all in one write.
func (l lines) Data(socket berth.Socket, buffer *berth.Buffer) error {
	var answer bytes.Buffer
	for {
		line, ok := buffer.ReadLine()
		if !ok {
			break
		}
		fmt.Fprintf(&answer, "%d %s\n", l.process, line)
	}
	_, err := answer.WriteTo(socket)
	return err
}

// Draining tells the client. A handler that has this method decides itself when to close, and this
// one leaves that to the client: Data goes on answering what it had sent before it read this.
func (lines) Draining(socket berth.Socket, _ time.Time) error {
	_, err := io.WriteString(socket, "reconnect\n")
	return err
}
