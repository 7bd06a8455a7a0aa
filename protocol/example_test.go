package protocol_test

import (
	"encoding/binary"
	"fmt"

	"github.com/go-berth/berth/protocol"
)

// A handler takes every complete line. The beginning of the next one stays and leads the next Data.
func ExampleBuffer_ReadLine() {
	b := protocol.NewBuffer([]byte("EHLO example.org\r\nNOOP\n\r\nQUI"))
	for {
		line, ok := b.ReadLine()
		if !ok {
			break
		}
		fmt.Printf("%q\n", line)
	}
	fmt.Printf("%q stays\n", b.Bytes())
	// Output:
	// "EHLO example.org"
	// "NOOP"
	// ""
	// "QUI" stays
}

// A handler takes every complete frame of a protocol that sends a length in two bytes first. Peek
// looks at the length without consuming it, so that an incomplete frame stays whole.
func ExampleBuffer_Next() {
	b := protocol.NewBuffer([]byte("\x00\x05hello\x00\x05world\x00\x05inc"))
	for b.Len() >= 2 {
		n := int(binary.BigEndian.Uint16(b.Peek(2)))
		if b.Len() < 2+n {
			break
		}
		b.Discard(2)
		fmt.Printf("%q\n", b.Next(n))
	}
	fmt.Printf("%q stays\n", b.Bytes())
	// Output:
	// "hello"
	// "world"
	// "\x00\x05inc" stays
}
