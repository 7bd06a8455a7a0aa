package main

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/examples/internal/program"
)

// drains: 20 clients are in the middle of what they send when the signal comes. Each gets every
// byte of it back.
func drains(t *testing.T, echo starter) {
	const clients = 20
	p := echo()
	addr := p.Addr(t)
	data := randomBytes(2 << 20)
	want := sum(data)
	middle := newBarrier(clients)
	var ended sync.WaitGroup
	for range clients {
		conn := program.DialTCP(t, addr)
		assertEchoes(t, conn, "accepted, not only in the kernel's backlog")
		ended.Go(func() {
			sent := make(chan error, 1)
			go func() {
				_, err := conn.Write(data[:len(data)/2])
				middle.arrive() // half of it is on its way, and the signal comes before the rest
				if err == nil {
					_, err = conn.Write(data[len(data)/2:])
				}
				sent <- err
			}()
			hash := sha256.New()
			n, err := io.Copy(hash, conn) // to the end of the connection, which the server closes
			conn.Close()                  // and a client that has seen it closes too
			assert.NoError(t, errors.Join(err, <-sent))
			assert.Equal(t, want, fmt.Sprintf("%x", hash.Sum(nil)), "%d of %d bytes came back, or others", n, len(data))
		})
	}
	middle.await()
	p.Signal(t, syscall.SIGTERM)
	p.AwaitStderr(t, "msg=draining")
	_, err := net.Dial("tcp", addr)
	assert.Error(t, err, "no new clients while draining")
	middle.pass()
	ended.Wait()
	assert.Zero(t, p.Wait(t), "standard error: %q", p.Stderr())
	assert.Equal(t, []string{"listening on " + addr}, p.Stdout())
}

// barrier holds several goroutines until pass, and says when all have arrived.
type barrier struct {
	arrived sync.WaitGroup
	open    chan struct{}
}

func newBarrier(n int) *barrier {
	b := &barrier{open: make(chan struct{})}
	b.arrived.Add(n)
	return b
}

func (b *barrier) arrive() { b.arrived.Done(); <-b.open }
func (b *barrier) await()  { b.arrived.Wait() }
func (b *barrier) pass()   { close(b.open) }

// abortsOnSecondSignal: a client that never reads keeps the server from draining; the second signal
// does not wait for it.
func abortsOnSecondSignal(t *testing.T, echo starter) {
	p := echo()
	addr := p.Addr(t)
	conn := program.DialTCP(t, addr)
	stuck, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		sendForEver(conn, func() { close(stuck) })
	}()
	<-stuck
	p.Signal(t, syscall.SIGTERM)
	p.AwaitStderr(t, "msg=draining")
	p.Signal(t, syscall.SIGTERM)
	assert.NotZero(t, p.Wait(t))
	p.AwaitStderr(t, "level=WARN msg=stopped addr="+addr+" interrupted=1 aborted=1")
	last := p.Stderr()[len(p.Stderr())-1]
	assert.Contains(t, last, "1 connections aborted")
	require.NotContains(t, strings.Join(p.Stderr(), "\n"), "goroutine ", "a stack")
	<-ended
}
