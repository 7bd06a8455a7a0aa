package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"runtime/metrics"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/test/report"
)

// The long form: go test ./examples/proxy -run SlowEnd -v -proxy.bytes 1073741824 -proxy.rate
// 134217728
var (
	slowBytes = flag.Int64("proxy.bytes", 4<<20, "how many bytes go each way through a slow end")
	slowRate  = flag.Int("proxy.rate", 16<<20, "how many bytes the slow end reads in a second, and how many it sends")
)

// paced is an end that reads and writes no more than so many bytes in a second.
type paced struct {
	net.Conn
	in, out *rate.Limiter
	read    atomic.Int64
}

const pace = 64 << 10 // bytes at once

func newPaced(conn net.Conn) *paced {
	limit := rate.Limit(*slowRate)
	return &paced{Conn: conn, in: rate.NewLimiter(limit, pace), out: rate.NewLimiter(limit, pace)}
}

func (p *paced) Read(b []byte) (int, error) {
	b = b[:min(len(b), pace)]
	n, err := p.Conn.Read(b)
	p.read.Add(int64(n))
	_ = p.in.WaitN(context.Background(), n) // less than its burst, and without an end
	return n, err
}

func (p *paced) Write(b []byte) (int, error) {
	if err := p.out.WaitN(context.Background(), len(b)); err != nil {
		return 0, err
	}
	return p.Conn.Write(b)
}

// memory is what the process takes, in bytes. resident is 0 where the system does not tell.
type memory struct{ heap, resident uint64 }

func memoryNow() (m memory) {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	m.heap = sample[0].Value.Uint64()
	status, _ := os.ReadFile("/proc/self/status")
	if _, rest, found := strings.Cut(string(status), "VmRSS:"); found {
		_, _ = fmt.Sscan(rest, &m.resident)
		m.resident <<= 10
	}
	return m
}

// watch takes the most memory that is used until stop is called. The two figures are how much more
// that is than at the call.
func watch() (stop func() memory) {
	runtime.GC()
	before, most := memoryNow(), memory{}
	enough, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			now := memoryNow()
			most.heap, most.resident = max(most.heap, now.heap), max(most.resident, now.resident)
			select {
			case <-tick.C:
			case <-enough:
				return
			}
		}
	}()
	return func() memory {
		close(enough)
		<-done
		return memory{most.heap - min(most.heap, before.heap), most.resident - min(most.resident, before.resident)}
	}
}

// counted is a source that counts what was taken of it.
type counted struct {
	io.Reader
	taken atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.taken.Add(int64(n))
	return n, err
}

// The memory of the proxy does not grow with what goes through it, however slow one end is. What
// the other end has sent and the slow one has not read lies in the kernel's buffers: its sender
// waits.
func TestASlowEndTakesNoMemory(t *testing.T) {
	each(t, func(t *testing.T, s *site) {
		began, size := time.Now(), *slowBytes
		client, behind := s.connect(256 << 10)
		limit := began.Add(30*time.Second + 4*time.Duration(float64(size)/float64(*slowRate)*float64(time.Second)))
		require.NoError(t, errors.Join(client.SetDeadline(limit), behind.SetDeadline(limit)))
		slow, source := newPaced(client), &counted{Reader: stream(2, size)}
		stop := watch()
		var ends sync.WaitGroup
		ends.Go(func() {
			_, err := io.CopyBuffer(struct{ io.Writer }{slow}, stream(1, size), make([]byte, 32<<10))
			assert.NoError(t, errors.Join(err, client.CloseWrite()))
		})
		ends.Go(func() {
			_, err := io.CopyBuffer(struct{ io.Writer }{behind}, struct{ io.Reader }{source}, make([]byte, 32<<10))
			assert.NoError(t, errors.Join(err, behind.CloseWrite()))
		})
		var ahead int64 // bytes that were sent and not read
		ends.Go(func() { assertArrives(t, 1, size, behind) })
		ends.Go(func() {
			assertArrives(t, 2, size, readerFunc(func(p []byte) (int, error) {
				n, err := slow.Read(p)
				ahead = max(ahead, source.taken.Load()-slow.read.Load())
				return n, err
			}))
		})
		ends.Wait()
		grown := stop()
		s.quiet()
		if !setup.Raced {
			assert.Less(t, grown.heap, uint64(8<<20), "the heap grows with what goes through")
			assert.Less(t, grown.resident, uint64(24<<20), "the process grows with what goes through")
		}
		if size > 256<<20 {
			assert.Less(t, ahead, int64(64<<20), "the sender does not wait")
		}
		report.Add(t, report.Row{ID: "P1", Holds: "G2 G3 G5", Duration: time.Since(began), Figures: map[string]any{
			"bytes each way": size, "bytes a second": *slowRate, "heap": grown.heap, "resident": grown.resident, "ahead": ahead,
		}})
	})
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
