//go:build berthdebug

package transport

// poisonByte is a value that is neither text nor zero.
const poisonByte = 0xDB

func poison(p []byte) {
	for i := range p {
		p[i] = poisonByte
	}
}
