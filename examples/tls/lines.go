package main

import (
	"bytes"
	"crypto/tls"
	"fmt"

	"github.com/go-berth/berth"
	"github.com/go-berth/berth/protocol/frame"
)

// upper is the protocol, by the name that ALPN knows, whose answers are in capital letters.
const upper = "upper"

// lines handles one connection.
type lines struct {
	frame.Lines
	upper bool
}

// Accepted comes once the handshake is done. Socket.TLS tells what has been agreed on.
func (l *lines) Accepted(socket berth.Socket) error {
	state := socket.TLS()
	l.Max, l.upper = 1024, state.NegotiatedProtocol == upper
	client := "a client without a certificate"
	if len(state.PeerCertificates) > 0 { // verified: crypto/tls has refused any other
		client = state.PeerCertificates[0].Subject.CommonName
	}
	_, err := fmt.Fprintf(socket, "hello %s, this is %q, %s, protocol %q\n",
		client, state.ServerName, tls.VersionName(state.Version), state.NegotiatedProtocol)
	return err
}

// Data sends every line back.
func (l *lines) Data(socket berth.Socket, data *berth.Buffer) error {
	var answer bytes.Buffer
	for line, err := range l.Frames(data) {
		if err != nil {
			return err
		}
		if l.upper {
			line = bytes.ToUpper(line)
		}
		answer.Write(line)
		answer.WriteByte('\n')
	}
	if _, err := answer.WriteTo(socket); err != nil {
		return err
	}
	return frame.Incomplete(data)
}
