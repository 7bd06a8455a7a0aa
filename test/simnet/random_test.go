package simnet_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/test/simnet"
)

// For any network, any sizes of reads and writes, and partitions that heal, the stream consists of
// the written bytes in order.
func TestWhateverHappensTheStreamIsWhatWasWritten(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			a, b := simnet.Pipe(simnet.Options{
				BufferSize: 1 + random.IntN(64),
				Window:     random.IntN(64),
				Latency:    time.Duration(random.IntN(3)) * time.Millisecond,
			})
			sent := make([]byte, random.IntN(2000))
			for i := range sent {
				sent[i] = byte(random.Uint32())
			}
			var others sync.WaitGroup
			defer others.Wait() // a bubble's clock stands still once its test has returned
			others.Go(func() { sendInPieces(a, sent, rand.New(rand.NewPCG(seed, 1))) })
			others.Go(func() { cutAndHeal(a, rand.New(rand.NewPCG(seed, 2))) })

			received, err := io.ReadAll(inPieces{b, rand.New(rand.NewPCG(seed, 3))})
			require.NoError(t, err, "seed %d", seed)
			require.True(t, bytes.Equal(sent, received), "seed %d", seed)
			require.NoError(t, b.Close())
		})
	}
}

func sendInPieces(c *simnet.Conn, p []byte, random *rand.Rand) {
	for len(p) > 0 {
		n, err := c.Write(p[:1+random.IntN(len(p))])
		if err != nil {
			panic(err)
		}
		p = p[n:]
		time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond)
	}
	c.Close()
}

func cutAndHeal(c *simnet.Conn, random *rand.Rand) {
	for range 10 {
		c.Partition()
		time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
		c.Heal()
		time.Sleep(time.Duration(random.IntN(5)) * time.Millisecond)
	}
}

// inPieces reads in pieces of random size, down to nothing.
type inPieces struct {
	io.Reader
	random *rand.Rand
}

func (r inPieces) Read(p []byte) (int, error) {
	time.Sleep(time.Duration(r.random.IntN(2)) * time.Millisecond)
	return r.Reader.Read(p[:min(len(p), r.random.IntN(50))])
}
