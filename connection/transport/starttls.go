package transport

import (
	"crypto/tls"
	"errors"
	"sync"
)

// StartTLS puts TLS over conn, which is open, and returns what takes its place. Handshake comes
// next, as after Open. It is called on the connection's turn, at most once, while nothing is
// written. What was read and not fetched becomes the beginning of TLS. Calls of other goroutines
// may still reach conn. joined, if not nil, is done when the handshake's goroutine has ended.
//
// At the client's side config must not be one that Renegotiates, unless conn is a Stream.
func StartTLS(conn Conn, config *tls.Config, client bool, joined *sync.WaitGroup) (Conn, error) {
	switch c := conn.(type) {
	case *Stream:
		c.startTLS(config, client)
		return c, nil
	case *Proxied:
		upper, err := StartTLS(c.Conn, config, client, joined)
		if err != nil {
			return nil, err
		}
		p := &Proxied{Conn: upper}
		p.header.Store(c.header.Load())
		return p, nil
	}
	if upper, ok := startPollTLS(conn, config, client, joined); ok {
		return upper, nil
	}
	return nil, errNoStartTLS
}

var errNoStartTLS = errors.New("transport: TLS cannot be put over this connection")

// Reads reports whether conn has a goroutine that reads, as a Stream has.
func Reads(conn Conn) bool {
	if p, ok := conn.(*Proxied); ok {
		conn = p.Conn
	}
	_, ok := conn.(*Stream)
	return ok
}

// HasCertificate reports whether a server with this configuration has a certificate to show.
// Without one every handshake would fail.
func HasCertificate(config *tls.Config) bool {
	return len(config.Certificates) > 0 || config.GetCertificate != nil || config.GetConfigForClient != nil
}

// NoHandshake reports whether err is the error of a handshake in which the peer's first bytes were
// no record of TLS: they are plain text.
func NoHandshake(err error) bool {
	header, ok := errors.AsType[tls.RecordHeaderError](err)
	return ok && header.Conn != nil
}
