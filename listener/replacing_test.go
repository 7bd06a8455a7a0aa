package listener

import (
	"crypto/tls"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"reflect"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/connection"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/protocol"
	"github.com/go-berth/berth/test/faultnet"
)

// fixed are the options that a running listener cannot change, each with another value.
var fixed = map[string]Options{
	"Network":      {Network: "tcp4"},
	"ListenConfig": {ListenConfig: net.ListenConfig{KeepAlive: time.Hour}},
	"Transport":    {Transport: Stream},
	"Workers":      {Workers: 7},
	"EventLoops":   {EventLoops: 3},
	"Owner":        {Owner: actor.NewPID("192.0.2.1:7", "owner")},
	"ReusePort":    {ReusePort: true},

	"MemoryBudget":    {MemoryBudget: 1 << 20},
	"MemoryHighWater": {MemoryBudget: 1 << 20, MemoryHighWater: 1 << 19},
	"MemoryLowWater":  {MemoryBudget: 1 << 20, MemoryLowWater: 1 << 19},
	"MemoryTimeout":   {MemoryTimeout: -1},
}

// replaced are the other options, which it can change.
var replaced = map[string]Options{
	"Connection":          {Connection: connection.Options{ReadBufferSize: 100}},
	"TLSConfig":           {TLSConfig: anyCertificate},
	"RejectMessage":       {RejectMessage: []byte("x"), WhenFull: Reject},
	"MaxConnections":      {MaxConnections: 5},
	"WhenFull":            {WhenFull: Reject},
	"MaxWait":             {MaxWait: time.Hour},
	"Acceptors":           {Acceptors: 2},
	"MaxConnectionsPerIP": {MaxConnectionsPerIP: 6},
	"PerIPPrefixV4":       {PerIPPrefixV4: 8},
	"PerIPPrefixV6":       {PerIPPrefixV6: 9},
	"AcceptRate":          {AcceptRate: 10},
	"AcceptBurst":         {AcceptRate: 10, AcceptBurst: 20},
	"Allow":               {Allow: everywhere},
	"Alarms":              {Alarms: []Alarm{{Threshold: 1, Callback: func(Alarm, int) {}}}},
	"Deny":                {Deny: everywhere},
	"ProxyProtocol":       {ProxyProtocol: ProxyProtocol{Enabled: true, TrustedProxies: everywhere}},
	"ShutdownTimeout":     {ShutdownTimeout: time.Hour},
	"DisableNoDelay":      {DisableNoDelay: true},
	"KeepAlive":           {KeepAlive: time.Hour},
	"RecvBufferSize":      {RecvBufferSize: 1 << 20},
	"SendBufferSize":      {SendBufferSize: 1 << 20},
}

var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}

func TestEveryOptionIsReplacedOrRefused(t *testing.T) {
	for field := range reflect.TypeFor[Options]().Fields() {
		_, stays := fixed[field.Name]
		_, changes := replaced[field.Name]
		assert.NotEqual(t, stays, changes, "%s: say in one of the tables whether a running listener can change it", field.Name)
	}
	start := func() *Listener {
		inner, err := net.Listen("tcp", anyPort)
		require.NoError(t, err)
		l, err := Serve(newWorld().Root, bare{inner}, of(newEcho()), Options{}) // with Auto it is Stream
		require.NoError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	l := start()
	for name, o := range fixed {
		require.EqualError(t, l.SetOptions(o), "berth: a running listener cannot change "+name)
		assert.Equal(t, Options{}, l.Options(), "%s: nothing changed", name)
	}
	for name, o := range replaced {
		l := start()
		require.NoError(t, l.SetOptions(o), name)
		now := reflect.ValueOf(l.Options())
		assert.False(t, now.FieldByName(name).IsZero(), name)
		require.NoError(t, l.SetOptions(l.Options()), name)
	}
}

func TestBuffersDoNotGoBackToTheKernelsChoice(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		l := newWorld().listen(t, of(newEcho()), o)
		o.RecvBufferSize, o.SendBufferSize = 50_000, 60_000
		require.NoError(t, l.SetOptions(o))
		o.RecvBufferSize = 0
		require.EqualError(t, l.SetOptions(o), "berth: a running listener cannot change RecvBufferSize to the kernel's choice")
		o.RecvBufferSize, o.SendBufferSize = 40_000, 0
		require.EqualError(t, l.SetOptions(o), "berth: a running listener cannot change SendBufferSize to the kernel's choice")
		assert.Equal(t, 50_000, l.Options().RecvBufferSize)
	})
}

func TestABadOptionReplacesNothing(t *testing.T) {
	w := newWorld()
	before := Options{MaxConnections: 3}
	l := w.listen(t, of(newEcho()), before)
	for text, o := range bad {
		require.ErrorContains(t, l.SetOptions(o), text)
		assert.Equal(t, before, l.Options())
		assert.Equal(t, 3, l.Info().MaxConnections)
	}
}

func TestListsThatTheCallerChangesLaterChangeNothing(t *testing.T) {
	o := Options{Deny: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}}
	l := newWorld().listen(t, of(newEcho()), o)
	o.Deny[0] = everywhere[0]
	l.Options().Deny[0] = everywhere[0]
	assert.Equal(t, "192.0.2.0/24", l.Options().Deny[0].String())
	require.NoError(t, l.SetOptions(l.Options()))
	echoes(t, dial(t, l))
}

func TestAfterTheEndThereIsNothingToReplace(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		l, err := Listen(newWorld().Root, anyPort, of(newEcho()), o)
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.ErrorIs(t, l.SetOptions(o), net.ErrClosed)
		require.EqualError(t, l.SetOptions(o), "berth: the listener has ended")
		assert.Equal(t, o, l.Options())
	})
}

// A new limit holds for new connections, exactly and from the first one on: the sweep does not
// finish its longer interval.
func TestConnectionsHaveTheOptionsTheyWereAcceptedWith(t *testing.T) {
	inABubble(t, Options{}, func(t *testing.T, _ *world, l *Listener, _ *faultnet.Listener, dial func() net.Conn) {
		before := dial()
		echoes(t, before)
		const limit = 80 * time.Millisecond
		require.NoError(t, l.SetOptions(Options{Connection: connection.Options{IdleTimeout: limit}}))
		after := dial()
		echoes(t, after)
		began := time.Now()
		require.NoError(t, ends(after))
		assert.InDelta(t, limit, time.Since(began), float64(limit/4))
		time.Sleep(time.Hour)
		echoes(t, before)
	})
}

func TestMoreOrFewerConnectionsWhileTheListenerRuns(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnections = 3
		handler := newEcho()
		l := w.listen(t, of(handler), o)
		set := func(most int) {
			o.MaxConnections = most
			require.NoError(t, l.SetOptions(o))
			assert.Equal(t, most, l.Info().MaxConnections)
		}
		first, second := dial(t, l), dial(t, l)
		echoes(t, first)
		echoes(t, second)
		set(2) // with the stream transport the acceptor is in Accept already: the client that it gets is held
		third := dial(t, l)
		_, err := io.WriteString(third, "hello")
		require.NoError(t, err)
		served := func() { _, err := io.ReadFull(third, make([]byte, 5)); require.NoError(t, err) }
		notServed := func() {
			for range 20 {
				echoes(t, second)
			}
			assert.Len(t, handler.accepted, 2)
		}
		notServed()
		set(1)
		echoes(t, first) // no connection is closed
		_ = first.Close()
		eventually(t, func() bool { return l.Info().Open == 1 })
		notServed()
		set(2)
		served()
		set(9)
		fourth := dial(t, l)
		echoes(t, fourth)
		assert.Empty(t, l.Info().Refused)
		set(1)
		_ = fourth.Close()
		_ = third.Close()
		_ = second.Close()
		eventually(t, func() bool { return l.Info().Open == 0 })
		echoes(t, dial(t, l))
	})
}

func TestClientsThatWaitAreTurnedAwayOnceNoneMayWait(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.MaxConnections = 1
		l := w.listen(t, of(newEcho()), o)
		first := dial(t, l)
		echoes(t, first)
		second := dial(t, l)
		o.WhenFull = Reject
		require.NoError(t, l.SetOptions(o))
		require.NoError(t, ends(second))
		_ = ends(dial(t, l))
		o.WhenFull = Wait
		require.NoError(t, l.SetOptions(o))
		third := dial(t, l)
		for range 20 {
			echoes(t, first)
		}
		assert.EqualValues(t, 2, l.Info().Refused[protocol.RefusalFull])
		_ = first.Close()
		echoes(t, third)
	})
}

// A client that was accepted just when there was no permit any more is held. The stream transport
// makes this easy: its acceptor is in Accept already when the options change.
func TestAHeldClientEndsWithTheListener(t *testing.T) {
	w := newWorld()
	l := w.listen(t, of(newEcho()), Options{Transport: Stream})
	first := dial(t, l)
	echoes(t, first)
	require.NoError(t, l.SetOptions(Options{Transport: Stream, MaxConnections: 1}))
	second := dial(t, l)
	eventually(t, func() bool { return l.Info().Accepted == 2 })
	require.NoError(t, l.Close())
	require.NotErrorIs(t, ends(second), os.ErrDeadlineExceeded)
}

func TestClientsThatWaitForTheRateAreServedOnceThereIsNone(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		o.AcceptRate = 1.0 / 3600
		l := w.listen(t, of(newEcho()), o)
		echoes(t, dial(t, l))
		second := dial(t, l)
		eventually(t, func() bool { // the acceptor has looked, and waits
			return l.server.admission.State().Paced
		})
		o.AcceptRate = 0
		require.NoError(t, l.SetOptions(o))
		echoes(t, second)
	})
}

func TestListsAreReplacedForTheNextClients(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		l := w.listen(t, of(newEcho()), o)
		before := dial(t, l)
		echoes(t, before)
		o.Deny = everywhere
		require.NoError(t, l.SetOptions(o))
		_ = ends(dial(t, l))
		echoes(t, before)
		o.Deny, o.Allow = nil, everywhere
		require.NoError(t, l.SetOptions(o))
		echoes(t, dial(t, l))
	})
}

func TestACertificateIsReplaced(t *testing.T) {
	w := newWorld()
	first := &tls.Config{Certificates: []tls.Certificate{setup.Certificate("first")}, MinVersion: tls.VersionTLS13}
	second := &tls.Config{Certificates: []tls.Certificate{setup.Certificate("second")}, MinVersion: tls.VersionTLS13}
	l := w.listen(t, of(newEcho()), Options{TLSConfig: first})
	shown := func() []byte {
		c := tls.Client(dial(t, l), &tls.Config{InsecureSkipVerify: true})
		defer c.Close()
		echoes(t, c)
		return c.ConnectionState().PeerCertificates[0].Raw
	}
	assert.Equal(t, first.Certificates[0].Certificate[0], shown())
	require.NoError(t, l.SetOptions(Options{TLSConfig: second}))
	assert.Equal(t, second.Certificates[0].Certificate[0], shown())
	require.NoError(t, l.SetOptions(Options{}))
	echoes(t, dial(t, l))
}

func TestTLSComesToARunningListener(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		w := newWorld()
		l := w.listen(t, of(newEcho()), o)
		before := dial(t, l)
		echoes(t, before)
		server, client := certified(t)
		o.TLSConfig = server
		require.NoError(t, l.SetOptions(o))
		echoes(t, tls.Client(dial(t, l), client))
		echoes(t, before)
	})
}

// Options are replaced all the time, and clients come and go. The open connections never exceed the
// highest limit, no client is lost, and every permit comes back.
func TestInAStormOfReplacementsThePeakHoldsAndNoClientIsLost(t *testing.T) {
	overEach(t, func(t *testing.T, o Options) {
		const dialers, each, most = 8, 40, 4
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		w := newWorld()
		o.MaxConnections = most
		handler := &counting{}
		l := w.listen(t, of(handler), o)
		stop := make(chan struct{})
		var replacing, storm sync.WaitGroup
		for i := range 2 {
			replacing.Go(func() {
				random := rand.New(rand.NewPCG(seed, uint64(i)))
				for {
					select {
					case <-stop:
						return
					default:
					}
					o := o
					o.MaxConnections = 1 + random.IntN(most)
					o.MaxConnectionsPerIP = random.IntN(2) * 100
					o.AcceptRate = float64(random.IntN(2)) * 1e5
					o.Connection.IdleTimeout = time.Duration(random.IntN(2)) * time.Minute
					assert.NoError(t, l.SetOptions(o))
					runtime.Gosched()
				}
			})
		}
		for range dialers {
			storm.Go(func() {
				for range each {
					c, err := net.Dial("tcp", l.Addr().String())
					if !assert.NoError(t, err) {
						return
					}
					_ = c.SetDeadline(time.Now().Add(patience))
					_, _ = c.Write([]byte("x"))
					_, err = io.ReadFull(c, make([]byte, 1))
					assert.NoError(t, err)
					_ = c.Close()
				}
			})
		}
		storm.Wait()
		close(stop)
		replacing.Wait()
		eventually(t, func() bool { return l.Info().Open == 0 })
		assert.LessOrEqual(t, handler.peak.Load(), int64(most))
		assert.EqualValues(t, dialers*each, l.Info().Accepted)
		assert.Empty(t, l.Info().Refused)
		assert.Zero(t, l.server.admission.State())
	})
}
