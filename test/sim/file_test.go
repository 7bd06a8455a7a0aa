package sim

import (
	"math/rand/v2"
	"os"
	"sync"

	"github.com/go-berth/berth/test/history"
)

// fileSize is little enough for parts of the file to lie beyond its end now and then, in bytes.
const fileSize = 40_000

// sharedFile is one file, of which all connections of all worlds send parts. It has no name any
// more, so nothing is left of it.
var sharedFile = sync.OnceValue(func() *os.File {
	f, err := os.CreateTemp("", "berth-sim")
	if err != nil {
		panic(err)
	}
	_ = os.Remove(f.Name())
	if _, err := f.Write(text(rand.New(rand.NewPCG(1, 2)), fileSize)); err != nil {
		panic(err)
	}
	return f
})

// writeFile queues a part of the file, which may have less.
func (w *world) writeFile(rng *rand.Rand, socket *history.Socket, n int, p *player) {
	offset := rng.IntN(fileSize)
	if rng.IntN(8) > 0 {
		offset = min(offset, fileSize-n)
	}
	_ = socket.WriteFile(sharedFile(), int64(offset), int64(n), p.done(1))
}
