package listener

import (
	"crypto/tls"
	"io"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/connection"
)

func TestTheZeroOptionsAreUseful(t *testing.T) {
	o := Options{}.withDefaults()
	assert.Equal(t, "tcp", o.Network)
	assert.Equal(t, 15*time.Second, o.ShutdownTimeout)
	assert.Equal(t, connection.Options{}.WithDefaults(), o.Connection)
	assert.Equal(t, Wait, o.WhenFull)
	assert.Equal(t, Auto, o.Transport)
	require.NoError(t, Options{}.validate())
}

func TestByDefaultAFifthOfTheDescriptorsIsLeftToTheRestOfTheProcess(t *testing.T) {
	most := Options{}.withDefaults().MaxConnections
	assert.LessOrEqual(t, most, 16384)
	if files := openFilesLimit(); files > 0 {
		assert.Equal(t, int(min(16384, files/5*4)), most)
	}
	assert.Equal(t, unlimited, Options{MaxConnections: -1}.withDefaults().MaxConnections)
	assert.Equal(t, 7, Options{MaxConnections: 7}.withDefaults().MaxConnections)
}

func TestWhatIsSetStays(t *testing.T) {
	o := Options{Network: "unix", ShutdownTimeout: -1}.withDefaults()
	assert.Equal(t, "unix", o.Network)
	assert.Negative(t, o.ShutdownTimeout)
}

// bad are options that are not valid, each with a part of the sentence about it.
var bad = map[string]Options{
	`Network "udp" is none of`:              {Network: "udp"},
	"WhenFull 2 is neither Wait nor Reject": {WhenFull: 2},
	"Transport 77 is none of":               {Transport: 77},
	"ReusePort needs TCP":                   {ReusePort: true, Network: "unix"},
	"Acceptors -2 must not be negative":     {Acceptors: -2},
	"Acceptors 1025 is over 1024":           {Acceptors: 1025},
	"EventLoops 1000000000 is over 1024":    {EventLoops: 1e9},
	"MemoryBudget 1 has a high water of 0, and one full read buffer takes 8192":        {MemoryBudget: 1},
	"MemoryBudget 2 has a high water of 0, and":                                        {MemoryBudget: 2, MemoryLowWater: 5},
	"ReadBufferSize cannot be off":                                                     {Connection: connection.Options{ReadBufferSize: -1}},
	"ProxyProtocol needs TrustedProxies":                                               {ProxyProtocol: ProxyProtocol{Enabled: true, TrustedProxies: []netip.Prefix{}}},
	"ProxyProtocol has TrustedProxies or TrustUnix, but is not Enabled":                {ProxyProtocol: ProxyProtocol{TrustedProxies: prefixesOf("10.0.0.0/8")}},
	"TrustedProxies must hold valid prefixes":                                          {ProxyProtocol: ProxyProtocol{Enabled: true, TrustedProxies: make([]netip.Prefix, 1)}},
	"RejectMessage is never sent without":                                              {RejectMessage: []byte("x")},
	"MaxWait 1s needs WhenFull Wait":                                                   {MaxWait: time.Second, WhenFull: Reject},
	"RejectMessage cannot be sent with a TLSConfig":                                    {RejectMessage: []byte("x"), WhenFull: Reject, TLSConfig: anyCertificate},
	"RejectMessage is 4097 bytes long":                                                 {RejectMessage: make([]byte, 4097), WhenFull: Reject},
	"PerIPPrefixV4 33 is no length":                                                    {PerIPPrefixV4: 33},
	"PerIPPrefixV4 -1 is no length":                                                    {PerIPPrefixV4: -1},
	"PerIPPrefixV6 129 is no length":                                                   {PerIPPrefixV6: 129},
	"PerIPPrefixV6 -1 is no length":                                                    {PerIPPrefixV6: -1},
	"AcceptRate NaN is no number":                                                      {AcceptRate: math.NaN()},
	"AcceptRate +Inf is no number":                                                     {AcceptRate: math.Inf(1)},
	"AcceptBurst -1 must not be negative":                                              {AcceptRate: 1, AcceptBurst: -1},
	"AcceptBurst 5 limits nothing without":                                             {AcceptBurst: 5},
	`Alarm "a" has no Callback`:                                                        {Alarms: []Alarm{{Name: "a", Threshold: 1}}},
	`Alarm "b" has Threshold 0; the least is 1`:                                        {Alarms: []Alarm{{Name: "b", Callback: quiet}}},
	`two Alarms are named "c"`:                                                         {Alarms: []Alarm{{"c", 1, 0, quiet}, {"c", 2, 0, quiet}}},
	"Allow and Deny name IP addresses":                                                 {Network: "unix", Allow: everywhere},
	"Allow and Deny must hold valid prefixes":                                          {Deny: []netip.Prefix{{}}},
	"TLSConfig has no certificate":                                                     {TLSConfig: &tls.Config{MinVersion: tls.VersionTLS13}},
	"MemoryHighWater, MemoryLowWater and MemoryTimeout limit nothing":                  {MemoryTimeout: time.Second},
	"MemoryTimeout limit nothing without a MemoryBudget":                               {MemoryHighWater: 1},
	"limit nothing without a MemoryBudget":                                             {MemoryLowWater: 1, MemoryBudget: -1},
	"MemoryHighWater -1 and MemoryLowWater 0 must not":                                 {MemoryBudget: 1 << 20, MemoryHighWater: -1},
	"MemoryHighWater 0 and MemoryLowWater -1 must not":                                 {MemoryBudget: 1 << 20, MemoryLowWater: -1},
	"MemoryHighWater 1048577 is over the MemoryBudget of 1048576":                      {MemoryBudget: 1 << 20, MemoryHighWater: 1<<20 + 1},
	"MemoryLowWater 900000 must be below MemoryHighWater 838860":                       {MemoryBudget: 1 << 20, MemoryLowWater: 900_000},
	"MemoryBudget 10000 has a high water of 8000, and one full read buffer takes 8192": {MemoryBudget: 10_000},
	"one full read buffer takes 16384":                                                 {MemoryBudget: 16 << 10, Connection: connection.Options{ReadBufferSize: 9000}},
}

func quiet(Alarm, int) {}

// anyCertificate is a TLS configuration that is never used.
var anyCertificate = &tls.Config{
	MinVersion:     tls.VersionTLS13,
	GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, io.EOF },
}

func TestABadOptionIsOneSentenceAndNothingIsStarted(t *testing.T) {
	w := newWorld()
	before := descriptors()
	for text, o := range bad {
		_, err := Listen(w.Root, anyPort, of(&echo{}), o)
		require.Error(t, err, text)
		assert.Contains(t, err.Error(), text)
		assert.True(t, strings.HasPrefix(err.Error(), "berth: "), text)
		assert.NotContains(t, err.Error(), "\n")
	}
	assert.Empty(t, w.actors())
	assert.Empty(t, published[*Started](w))
	assert.Equal(t, before, descriptors())
}

func TestMoreAcceptorsOrEventLoopsThanGainAnythingAreRefused(t *testing.T) {
	w := newWorld()
	l := w.listen(t, of(newEcho()), Options{})
	assert.EqualError(t, l.SetOptions(Options{Acceptors: 1e9}), "berth: Acceptors 1000000000 is over 1024: each is an actor with a descriptor")
	_, err := NewDialer(w.Root, Options{EventLoops: 1e9})
	assert.EqualError(t, err, "berth: EventLoops 1000000000 is over 1024: each has goroutines and descriptors of its own")
	assert.NoError(t, Options{Acceptors: 1024, EventLoops: 1024, Workers: math.MaxInt}.validate())
}

func TestWithoutAHandlerOrAListenerNothingIsStarted(t *testing.T) {
	w := newWorld()
	_, err := Listen(w.Root, anyPort, nil, Options{})
	require.EqualError(t, err, "berth: no handler: give one of HandlerFunc, Handlers, Functions, Actors")
	_, err = Listen(w.Root, anyPort, tcpactor.Functions[int]{}, Options{})
	require.EqualError(t, err, "berth: Functions needs a Read")
	_, err = Serve(w.Root, nil, of(&echo{}), Options{})
	require.EqualError(t, err, "berth: no net.Listener to serve")
	assert.Empty(t, w.actors())
}
