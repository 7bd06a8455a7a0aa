package main

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/go-berth/berth"
)

// The connections of many clients share a little memory. Each of them waits its turn, and nothing
// is lost.
func TestManyClientsWithinAMemoryBudget(t *testing.T) {
	for name, transport := range map[string]berth.Transport{"auto": berth.Auto, "stream": berth.Stream} {
		t.Run(name, func(t *testing.T) {
			o := options(-1)
			o.Transport, o.MemoryBudget = transport, 256<<10
			s := open(t, o)
			const size = 512 << 10
			var ends sync.WaitGroup
			for range 12 {
				client, behind := s.connect(128 << 10)
				ends.Go(func() { assert.NoError(t, send(client, 1, size)) })
				ends.Go(func() { assert.NoError(t, send(behind, 2, size)) })
				ends.Go(func() { assertArrives(t, 1, size, behind) })
				ends.Go(func() { assertArrives(t, 2, size, client) })
			}
			ends.Wait()
			s.quiet()
		})
	}
}
