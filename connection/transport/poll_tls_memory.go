//go:build linux || darwin || freebsd || netbsd || openbsd || dragonfly

package transport

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// A tls.Conn keeps two buffers for its life. The client's first message makes them as large as
// itself, 3.5 KiB together: 44% of an idle connection, measured with Go 1.26. Nothing is in them
// when the handshake is over. crypto/tls has no call that drops them, so dropBuffers does it by
// their names. It only lets go of memory, and only of empty buffers: where crypto/tls still pointed
// into them, the memory would live on. With a release of Go that has no such fields it does
// nothing, and TestCryptoTLSHasTheBuffersThatAreDropped says so.

// tlsBuffers are the fields of a tls.Conn that are buffers.
var tlsBuffers = []string{"rawInput", "hand"}

// offsets of those that this release of Go has.
var tlsBufferOffsets = func() (offsets []uintptr) {
	for _, name := range tlsBuffers {
		if field, ok := reflect.TypeFor[tls.Conn]().FieldByName(name); ok && field.Type == reflect.TypeFor[bytes.Buffer]() {
			offsets = append(offsets, field.Offset)
		}
	}
	return offsets
}()

// dropBuffers gives up the memory of conn's empty buffers. No read of conn is under way.
func dropBuffers(conn *tls.Conn) {
	for _, offset := range tlsBufferOffsets {
		if b := (*bytes.Buffer)(unsafe.Add(unsafe.Pointer(conn), offset)); b.Len() == 0 {
			*b = bytes.Buffer{}
		}
	}
}
