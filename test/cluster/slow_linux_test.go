package cluster_test

import (
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/cluster/nodes"
	"github.com/go-berth/berth/test/report"
)

var (
	slowClients = flag.Int("slow.clients", 8, "clients whose owner is on another node")
	slowBytes   = flag.Int64("slow.bytes", 8<<20, "bytes of each of them")
	slowFor     = flag.Duration("slow.for", time.Second, "how long a client reads nothing, then how long it reads slowly; how long an owner is slow")
)

const (
	warm   = 256 << 10 // bytes of each client before memory is measured
	kernel = 64 << 10  // the buffers of the sockets; Linux takes twice as much

	// mostOfOne bounds what a connection's way holds: two buffers of the kernel, twice as large as
	// they were asked for, and what Berth and the owner hold.
	mostOfOne = 2*2*kernel + 2*writeBuffer + credit*readBuffer + 128<<10
	// slack is for what memory has besides: batches under way, connections of gRPC.
	slack = 6 << 20
)

// pair is a gateway and the owner of its connections, each a process of its own.
type pair struct {
	t              *testing.T
	gateway, owner *nodes.Process
	addr           string
	clients        []*net.TCPConn
	before         map[string]nodes.Usage
}

func startPair(t *testing.T, options GatewayOptions) *pair {
	t.Helper()
	p := &pair{t: t, before: map[string]nodes.Usage{}}
	start := func(role string) *nodes.Process {
		process, err := nodes.Start(role)
		require.NoError(t, err)
		t.Cleanup(func() { assert.NoError(t, process.Stop(), role) })
		return process
	}
	p.owner, p.gateway = start(roleOwner), start(roleGateway)
	p.call(p.owner, "Node.PID", options.Unlimited, &options.Owner)
	p.call(p.gateway, "Node.Listen", options, &p.addr)
	dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error { // before the window is agreed upon
		var err error
		return errors.Join(raw.Control(func(fd uintptr) {
			err = errors.Join(syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, kernel),
				syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, kernel))
		}), err)
	}}
	for range *slowClients {
		conn, err := dialer.DialContext(context.Background(), "tcp", p.addr)
		require.NoError(t, err)
		t.Cleanup(func() { _ = conn.Close() })
		require.NoError(t, conn.SetDeadline(time.Now().Add(2**slowFor+5*time.Minute)))
		p.clients = append(p.clients, conn.(*net.TCPConn))
	}
	p.until("all have an owner", func(streams []StreamState) bool { return len(streams) == len(p.clients) })
	return p
}

func (p *pair) call(process *nodes.Process, method string, request, answer any) {
	p.t.Helper()
	require.NoError(p.t, process.Call(method, request, answer))
}

// streams is what the owner knows of its connections.
func (p *pair) streams() (streams []StreamState) {
	p.t.Helper()
	p.call(p.owner, "Node.Streams", struct{}{}, &streams)
	return streams
}

// until asks the owner until all is as it must be.
func (p *pair) until(what string, holds func([]StreamState) bool) []StreamState {
	p.t.Helper()
	late := time.Now().Add(patience + time.Duration(*slowBytes/(1<<20)*int64(*slowClients))*time.Second/8)
	for {
		streams := p.streams()
		for _, s := range streams {
			require.Empty(p.t, s.Wrong)
		}
		if holds(streams) {
			return streams
		}
		if time.Now().After(late) {
			require.FailNow(p.t, "it has not come to that", "%s: %+v", what, streams)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (p *pair) everyStream(what string, holds func(StreamState) bool) []StreamState {
	p.t.Helper()
	return p.until(what, func(streams []StreamState) bool {
		for _, s := range streams {
			if !holds(s) {
				return false
			}
		}
		return true
	})
}

// reset begins to measure memory.
func (p *pair) reset() {
	p.t.Helper()
	for name, process := range map[string]*nodes.Process{"gateway": p.gateway, "owner": p.owner} {
		var usage nodes.Usage
		p.call(process, "Meter.Reset", struct{}{}, &usage)
		p.before[name] = usage
	}
}

// grown is by how much a process's memory has grown since reset, at most.
func (p *pair) grown(name string) (live, resident uint64) {
	p.t.Helper()
	var usage nodes.Usage
	p.call(map[string]*nodes.Process{"gateway": p.gateway, "owner": p.owner}[name], "Meter.Memory", struct{}{}, &usage)
	return usage.PeakLive - min(usage.PeakLive, p.before[name].Live), usage.PeakResident - min(usage.PeakResident, p.before[name].Resident)
}

// flat checks that neither process has held more than the connections' bounds, at any time, and
// returns the figures.
func (p *pair) flat(figures map[string]any) map[string]any {
	p.t.Helper()
	bound := uint64(len(p.clients)*mostOfOne + slack)
	offered := uint64(len(p.clients)) * uint64(*slowBytes)
	require.Less(p.t, bound, offered/2, "too few bytes to show anything")
	for _, name := range []string{"gateway", "owner"} {
		live, resident := p.grown(name)
		assert.Less(p.t, live, bound, "%s, of %d bytes that were offered", name, offered)
		figures["heap in use of the "+name+", most growth"] = live
		figures["resident memory of the "+name+", most growth"] = resident
	}
	figures["clients"], figures["bytes offered"] = len(p.clients), offered
	return figures
}

// port is how both sides name a client, and the seed of what is said.
func port(conn *net.TCPConn) uint16 {
	return netip.MustParseAddrPort(conn.LocalAddr().String()).Port()
}

// each runs a function for every client, at the same time, and checks its error.
func (p *pair) each(do func(conn *net.TCPConn) error) {
	p.t.Helper()
	failed := make(chan error, len(p.clients))
	for _, conn := range p.clients {
		go func() { failed <- do(conn) }()
	}
	for range p.clients {
		assert.NoError(p.t, <-failed)
	}
	require.False(p.t, p.t.Failed())
}

// reading is a client's end of a stream that it checks.
type reading struct {
	conn *net.TCPConn
	at   uint64
	buf  []byte
}

// read reads up to n bytes, and returns an error if they are not the next of the pattern.
func (r *reading) read(n uint64) error {
	for n > 0 {
		got, err := r.conn.Read(r.buf[:min(n, uint64(len(r.buf)))])
		if at, ok := matches(r.buf[:got], port(r.conn), r.at); !ok {
			return fmt.Errorf("byte %d is not the one that was sent", at)
		}
		r.at, n = r.at+uint64(got), n-uint64(got)
		if err != nil {
			return fmt.Errorf("after %d bytes: %w", r.at, err)
		}
	}
	return nil
}

// fill writes the pattern of a stream from an offset on.
func fill(p []byte, seed uint16, at uint64) {
	for i := range p {
		p[i] = pattern(seed, at+uint64(i))
	}
}

// pattern is byte at of a stream: no two words of eight bytes of a stream are the same.
func pattern(seed uint16, at uint64) byte {
	var word [8]byte
	binary.BigEndian.PutUint64(word[:], (at/8+1)*0x9e3779b97f4a7c15^uint64(seed))
	return word[at%8]
}

// matches compares bytes with the pattern; at is the first that differs.
func matches(p []byte, seed uint16, from uint64) (at uint64, ok bool) {
	for i, b := range p {
		if b != pattern(seed, from+uint64(i)) {
			return from + uint64(i), false
		}
	}
	return 0, true
}

// An owner on one node writes to clients on another that read nothing, then little, then all: the
// owner is told to pause, no node holds more than the limits, and everything arrives in order.
func TestAnOwnerSeesThePauseOfASlowClientOfAnotherNode(t *testing.T) {
	p, began := startPair(t, GatewayOptions{}), time.Now()
	readings := map[*net.TCPConn]*reading{}
	for _, conn := range p.clients {
		readings[conn] = &reading{conn: conn, buf: make([]byte, readBuffer)}
	}
	p.call(p.owner, "Node.Write", int64(warm), nil)
	p.each(func(conn *net.TCPConn) error { return readings[conn].read(warm) })
	p.everyStream("what came first is acknowledged", func(s StreamState) bool { return s.Unanswered == 0 && s.Ready == s.NotReady })
	p.reset()

	p.call(p.owner, "Node.Write", *slowBytes, nil)
	paused := p.everyStream("paused", func(s StreamState) bool { return s.Unanswered == window && s.NotReady > s.Ready })
	time.Sleep(*slowFor) // the clients read nothing
	held := uint64(0)
	for i, s := range p.streams() {
		assert.Equal(t, window, s.Unanswered)
		assert.Greater(t, s.NotReady, s.Ready, "the last Writable said not ready")
		assert.Less(t, s.Sent-warm, uint64(mostOfOne))
		assert.Equal(t, paused[i].Port, s.Port)
		held = max(held, s.Sent-warm)
	}
	p.call(p.owner, "Node.Overfill", struct{}{}, nil) // more than there is room for
	for _, s := range p.everyStream("refused", func(s StreamState) bool { return s.Refusals > 0 }) {
		assert.Equal(t, 1, s.Refusals)
		assert.Equal(t, protocol.ErrWriteBufferFull.Error(), s.Refusal)
		assert.Zero(t, s.Rooms, "no WriteReady without room")
	}

	p.each(func(conn *net.TCPConn) error { // slowly
		r, ticks := readings[conn], time.NewTicker(10*time.Millisecond)
		defer ticks.Stop()
		for end := time.Now().Add(*slowFor); time.Now().Before(end) && r.at < warm+uint64(*slowBytes)/2; {
			<-ticks.C
			if err := r.read(readBuffer); err != nil {
				return err
			}
		}
		return nil
	})
	slowly := p.streams()
	for _, s := range slowly {
		assert.Less(t, s.Sent-min(s.Sent, readings[p.client(s.Port)].at), uint64(mostOfOne), "sent and not read")
	}
	all := warm + uint64(*slowBytes) + writeBuffer // what was refused is said again, as the last
	p.each(func(conn *net.TCPConn) error { return readings[conn].read(all - readings[conn].at) })
	for _, s := range p.everyStream("all is written", func(s StreamState) bool { return s.Written == all && s.Ready == s.NotReady }) {
		assert.Equal(t, 1, s.Rooms, "one WriteReady for one refusal")
		assert.Equal(t, 1, s.Refusals)
	}
	p.call(p.owner, "Node.Close", struct{}{}, nil)
	p.each(func(conn *net.TCPConn) error {
		if n, err := conn.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
			return fmt.Errorf("not the end: %d, %w", n, err)
		}
		return conn.Close()
	})
	p.everyStream("closed", func(s StreamState) bool { return s.Closed })
	pauses := 0
	for _, s := range p.streams() {
		pauses += s.NotReady
	}
	report.Add(t, report.Row{ID: "K3", Holds: "G5 G13 G15", Duration: time.Since(began), Figures: p.flat(map[string]any{
		"bytes sent by a paused owner, most": held, "pauses told to the owner": pauses, "writes refused, then accepted": len(p.clients),
		"read nothing, then slowly, for each": slowFor.String(),
	})})
}

func (p *pair) client(of uint16) *net.TCPConn {
	for _, conn := range p.clients {
		if port(conn) == of {
			return conn
		}
	}
	require.FailNow(p.t, "no such client")
	return nil
}

// Clients on one node send as fast as they can to an owner on another that acknowledges slowly: the
// credit runs out, the clients are not read, and no node holds more than the credit.
func TestASlowOwnerOfAnotherNodePausesFastClients(t *testing.T) {
	p, began := startPair(t, GatewayOptions{}), time.Now()
	say := func(conn *net.TCPConn, from, n uint64, said *atomic.Uint64) error {
		buf := make([]byte, 64<<10)
		for end := from + n; from < end; {
			part := buf[:min(end-from, uint64(len(buf)))]
			fill(part, port(conn), from)
			wrote, err := conn.Write(part)
			from += uint64(wrote)
			said.Store(from)
			if err != nil {
				return err
			}
		}
		return nil
	}
	said := map[uint16]*atomic.Uint64{}
	for _, conn := range p.clients {
		said[port(conn)] = &atomic.Uint64{}
	}
	p.each(func(conn *net.TCPConn) error { return say(conn, 0, warm, said[port(conn)]) })
	p.everyStream("what came first", func(s StreamState) bool { return s.Got == warm })
	p.reset()

	p.call(p.owner, "Node.Pace", 50*time.Millisecond, nil)
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.each(func(conn *net.TCPConn) error { return say(conn, warm, uint64(*slowBytes), said[port(conn)]) })
	}()
	defer func() { <-done }()
	p.everyStream("no credit is left", func(s StreamState) bool { return s.MostHeld >= credit })
	pauses, held := 0, uint64(0)
	for end := time.Now().Add(*slowFor); pauses == 0 || time.Now().Before(end); {
		p.call(p.owner, "Node.Ask", struct{}{}, nil) // the connections themselves
		for _, s := range p.streams() {
			require.LessOrEqual(t, s.MostHeld, credit)
			if s.Paused {
				pauses++
			}
		}
		for of, n := range said {
			before := n.Load()
			for _, s := range p.streams() {
				if s.Port == of && before > s.Got {
					held = max(held, before-s.Got)
				}
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	assert.Less(t, held, uint64(mostOfOne), "sent by a client and not shown to the owner")
	p.call(p.owner, "Node.Pace", time.Duration(0), nil)
	<-done
	all := warm + uint64(*slowBytes)
	p.everyStream("all has come", func(s StreamState) bool { return s.Got == all })
	p.each(func(conn *net.TCPConn) error { return conn.CloseWrite() })
	for _, s := range p.everyStream("closed", func(s StreamState) bool { return s.Closed }) {
		assert.Equal(t, all, s.Got)
		assert.Equal(t, all, s.Read, "as the connection counts")
		assert.LessOrEqual(t, s.MostHeld, credit)
	}
	report.Add(t, report.Row{ID: "K4", Holds: "G5 G13", Duration: time.Since(began), Figures: p.flat(map[string]any{
		"sent by a client and not yet shown to the owner, most": held, "connections found paused": pauses, "credit": credit,
		"owner slow for": slowFor.String(),
	})})
}

// What the two tests measure is seen when it happens: without limits the gateway holds what the
// clients do not read.
func TestWithoutLimitsMemoryIsSeenToGrow(t *testing.T) {
	p := startPair(t, GatewayOptions{Unlimited: true})
	p.reset()
	n := min(*slowBytes, 4<<20)
	p.call(p.owner, "Node.Write", n, nil)
	p.everyStream("all is sent", func(s StreamState) bool { return s.Sent == uint64(n) })
	late := time.Now().Add(patience)
	for {
		live, _ := p.grown("gateway")
		if live > uint64(len(p.clients))*uint64(n-mostOfOne) {
			return
		}
		if time.Now().After(late) {
			require.FailNow(t, "no growth was seen", "%d bytes", live)
		}
	}
}
