package sim

import (
	"math/rand/v2"
	"os"
	"sync"

	"github.com/go-berth/berth/test/history"
)

// fileSize in bytes is small enough that some of the parts lie beyond the end of the file.
const fileSize = 40_000

// sharedFile is one file. All connections of all worlds send parts of it. Its name is removed, so
// it leaves nothing behind.
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
