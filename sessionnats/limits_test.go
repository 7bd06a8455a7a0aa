package sessionnats_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/session"
	"github.com/go-berth/berth/sessionnats"
)

func openStore(t *testing.T, options sessionnats.Options) *sessionnats.Store {
	t.Helper()
	store, err := sessionnats.Open(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return store
}

// Nodes that have as much as they may have say so at once, whatever the call. When there is room
// again, the calls can be made again.
func TestAFullNodeSaysSoAtOnce(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			t.Parallel()
			addrs, err := sessionnats.FreeAddrs(2 * nodes)
			require.NoError(t, err)
			dir, urls, running := t.TempDir(), []string{}, []*sessionnats.Node{}
			start := func(bytes int64) {
				for i := range nodes {
					name := fmt.Sprint("node", i)
					options := sessionnats.NodeOptions{
						Name: name, Dir: filepath.Join(dir, name), MaxBytes: bytes, Addr: addrs[i], Cluster: addrs[nodes+i], Peers: addrs[nodes:],
					}
					if nodes == 1 {
						options.Peers = nil
					}
					node, err := sessionnats.StartNode(t.Context(), options)
					require.NoError(t, err)
					running = append(running, node)
					urls = append(urls, node.URL())
				}
			}
			stop := func() {
				for _, node := range running {
					node.Close()
				}
				running = nil
			}
			defer stop()
			start(200 << 10)
			// A call that tries again until its time is over takes so long that the test fails.
			store := openStore(t, sessionnats.Options{URLs: urls, Timeout: patience})
			sessions := session.New(store, session.Options{})
			waiting, _, err := sessions.Open(t.Context())
			require.NoError(t, err)
			var all []*session.Session
			for err == nil {
				var one *session.Session
				if one, _, err = sessions.Open(t.Context()); err == nil {
					all = append(all, one)
					_, err = one.Send(t.Context(), make([]byte, 30<<10))
				}
				require.Less(t, len(all), 100)
			}
			began := time.Now()
			require.ErrorIs(t, err, sessionnats.ErrFull)
			assert.NotErrorIs(t, err, sessionnats.ErrUnsure)
			for what, err := range map[string]error{
				"acknowledge": all[2].Acknowledge(t.Context(), 1),
				"deliver": func() error {
					_, err := waiting.Deliver(t.Context(), 1, func() { t.Error("delivered") })
					return err
				}(),
				"close":   all[3].Close(t.Context()),
				"release": waiting.Release(t.Context()),
				"insert":  store.Insert(t.Context(), session.State{ID: "x"}),
				"missing": store.Update(t.Context(), "missing", func(*session.State) error { return nil }),
				"delete":  store.Delete(t.Context(), "missing"),
				"append": func() error {
					_, err := store.Stream().Append(t.Context(), sessionnats.Message{Subject: "berth-sessions.more", Data: []byte("x")}, 0)
					return err
				}(),
			} {
				assert.ErrorIs(t, err, sessionnats.ErrFull, what)
			}
			assert.Less(t, time.Since(began), patience/4, "it is said at once")
			stop()
			start(100 << 20)
			require.Eventually(t, func() bool { return waiting.Release(t.Context()) == nil }, patience, 50*time.Millisecond)
			last, err := store.Stream().Last(t.Context(), "berth-sessions.more")
			require.NoError(t, err)
			assert.Nil(t, last)
			state := session.State{}
			require.NoError(t, store.Update(t.Context(), waiting.ID(), func(s *session.State) error { state = *s; return nil }))
			assert.False(t, state.Attached)
			assert.Zero(t, state.Log.Handled)
		})
	}
}

// A session that cannot be stored is refused where it is opened, and a message where it is sent.
func TestWhatIsLargerThanAMessageMayBeIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	own := openStore(t, sessionnats.Options{Timeout: patience})
	one, _, err := session.New(own, session.Options{Limits: session.Limits{Bytes: 4 << 20}}).Open(t.Context())
	require.NoError(t, err)
	for range 3 { // a node of ours takes more than NATS does by default
		_, err = one.Send(t.Context(), make([]byte, 500<<10))
		require.NoError(t, err)
	}
	_, _, err = session.New(own, session.Options{Limits: session.Limits{Bytes: 8 << 20}}).Open(t.Context())
	assert.ErrorIs(t, err, sessionnats.ErrTooLarge)
	assert.EqualError(t, err, "sessionnats: larger than a message of NATS may be: with limits of 256 messages and 8388608 bytes "+
		"a session takes up to 11187884 bytes, the nodes take 8388608")

	outside, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, JetStream: true, StoreDir: t.TempDir()})
	require.NoError(t, err)
	outside.Start()
	t.Cleanup(func() { outside.Shutdown(); outside.WaitForShutdown() })
	require.True(t, outside.ReadyForConnections(patience))
	store := openStore(t, sessionnats.Options{URLs: []string{outside.ClientURL()}, Timeout: patience})
	_, _, err = session.New(store, session.Options{Limits: session.Limits{Bytes: 1 << 20}}).Open(t.Context())
	assert.ErrorIs(t, err, sessionnats.ErrTooLarge)
	require.NoError(t, store.Insert(t.Context(), session.State{ID: "x", Epoch: 7}))
	err = store.Update(t.Context(), "x", func(s *session.State) error { // 1 MiB as base64
		s.Log.Sent, s.Log.Kept = 1, []session.Message{{Number: 1, Data: make([]byte, 800<<10)}}
		return nil
	})
	assert.ErrorIs(t, err, sessionnats.ErrTooLarge)
	for _, size := range []int{1<<20 + 1, 1<<20 - 10} { // the second with its headers
		_, err = store.Stream().Append(t.Context(), sessionnats.Message{Subject: "berth-sessions.y", Data: make([]byte, size)}, 0)
		assert.ErrorIs(t, err, sessionnats.ErrTooLarge, size)
	}
	before, err := count(t.Context(), store, "x", 0)
	require.NoError(t, err)
	assert.EqualValues(t, 7, before)
}

// What a stream will never take is refused at once, also where ctx never ends.
func TestWhatAStreamDoesNotTakeIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	store := openStore(t, sessionnats.Options{})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, message := range []sessionnats.Message{
		{Subject: "elsewhere.x"}, {Subject: "berth-sessions"}, {Subject: "berth-sessions.x.y"}, {Subject: ""}, {Subject: "berth-sessions.c d"},
		{Subject: "berth-sessions.x", TTL: 500 * time.Millisecond},
		{Subject: "berth-sessions.x", Header: nats.Header{"Nats-Expected-Stream": {"another"}}},
	} {
		_, err := store.Stream().Append(ctx, message, 0)
		assert.ErrorIs(t, err, sessionnats.ErrRefused, "%+v", message)
	}
	_, err := store.Stream().Append(ctx, sessionnats.Message{
		Subject: "berth-sessions.x", Header: nats.Header{"Large": {string(bytes.Repeat([]byte("x"), 70<<10))}},
	}, 0)
	assert.ErrorIs(t, err, sessionnats.ErrTooLarge)
	_, err = store.Stream().Last(ctx, "")
	assert.ErrorIs(t, err, sessionnats.ErrRefused)
}

// tap is the connection of a store to its node.
type tap struct {
	net.Conn
	wire *wire
}

// wire makes taps.
type wire struct {
	muted   atomic.Bool            // what the node says is not heard
	written atomic.Pointer[func()] // called once, before a message is written
}

func (w *wire) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &tap{conn, w}, nil
}

func (c *tap) Read(p []byte) (n int, err error) {
	for {
		if n, err = c.Conn.Read(p); err != nil || !c.wire.muted.Load() {
			return n, err
		}
	}
}

func (c *tap) Write(p []byte) (int, error) {
	if bytes.Contains(p, []byte("HPUB ")) {
		if call := c.wire.written.Swap(nil); call != nil {
			(*call)()
		}
	}
	return c.Conn.Write(p)
}

// Where ctx ends while a change is under way, the answer that comes soon is waited for.
func TestTheEndOfCtxLeavesNoChangeBehindThatIsUnsure(t *testing.T) {
	t.Parallel()
	node, err := sessionnats.StartNode(t.Context(), sessionnats.NodeOptions{})
	require.NoError(t, err)
	defer node.Close()
	wire := &wire{}
	store := openStore(t, sessionnats.Options{URLs: []string{node.URL()}, Connect: []nats.Option{nats.SetCustomDialer(wire)}})
	require.NoError(t, store.Insert(t.Context(), session.State{ID: "x", Attached: true}))
	confirmed := uint64(0)
	for range 5 {
		ctx, cancel := context.WithCancel(t.Context())
		end := func() { cancel() }
		wire.written.Store(&end)
		began := time.Now()
		_, err := count(ctx, store, "x", 1)
		require.ErrorIs(t, ctx.Err(), context.Canceled)
		if err == nil {
			confirmed++
			continue
		}
		require.ErrorIs(t, err, sessionnats.ErrUnsure)
		require.Greater(t, time.Since(began), 400*time.Millisecond, "the answer is waited for")
	}
	assert.NotZero(t, confirmed)
	sure, err := count(t.Context(), store, "x", 0)
	require.NoError(t, err)
	assert.GreaterOrEqual(t, sure, confirmed)
	for range 20 { // nothing is sent after the end of ctx
		ctx, cancel := context.WithCancel(t.Context())
		err = store.Update(ctx, "x", func(s *session.State) error { s.Epoch++; cancel(); return nil })
		require.ErrorIs(t, err, sessionnats.ErrUnavailable)
		require.ErrorIs(t, err, context.Canceled)
		_, err = count(ctx, store, "x", 1)
		require.ErrorIs(t, err, sessionnats.ErrUnavailable)
		require.ErrorIs(t, store.Insert(ctx, session.State{ID: "y"}), sessionnats.ErrUnavailable)
		require.ErrorIs(t, store.Delete(ctx, "x"), sessionnats.ErrUnavailable)
	}
	before, err := count(t.Context(), store, "x", 0)
	require.NoError(t, err)
	assert.Equal(t, sure, before)

	// An answer that does not come is not waited for until the end of Timeout.
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	end := func() { wire.muted.Store(true); cancel() }
	wire.written.Store(&end)
	began := time.Now()
	_, err = count(ctx, store, "x", 1)
	require.ErrorIs(t, err, sessionnats.ErrUnsure)
	assert.Less(t, time.Since(began), 8*time.Second, "Timeout is 10 s")
	wire.muted.Store(false)
	before, err = count(t.Context(), store, "x", 0)
	require.NoError(t, err)
	assert.Equal(t, sure+1, before)

	// Nor does the end of the store make a change undone that it has sent.
	closed := make(chan struct{})
	stop := func() {
		wire.muted.Store(true)
		go func() {
			store.Conn().Close()
			close(closed)
		}()
	}
	wire.written.Store(&stop)
	_, err = count(t.Context(), store, "x", 1)
	<-closed
	assert.ErrorIs(t, err, sessionnats.ErrUnsure)
	_, err = count(t.Context(), store, "x", 1)
	assert.ErrorIs(t, err, sessionnats.ErrUnavailable)
}

// A message whose Deliver has failed is handled once, also over a store that was not sure.
func TestAMessageIsHandledOnceWhereTheStoreWasNotSure(t *testing.T) {
	t.Parallel()
	node, err := sessionnats.StartNode(t.Context(), sessionnats.NodeOptions{})
	require.NoError(t, err)
	defer node.Close()
	wire := &wire{}
	store := openStore(t, sessionnats.Options{URLs: []string{node.URL()}, Connect: []nats.Option{nats.SetCustomDialer(wire)}, Timeout: time.Second})
	sessions := session.New(store, session.Options{})
	one, welcome, err := sessions.Open(t.Context())
	require.NoError(t, err)
	mute := func() { wire.muted.Store(true) }
	wire.written.Store(&mute)
	_, err = one.Deliver(t.Context(), 1, func() { t.Error("delivered") })
	require.ErrorIs(t, err, sessionnats.ErrUnsure)
	wire.muted.Store(false)
	calls := 0
	fresh, err := one.Deliver(t.Context(), 1, func() { calls++ })
	require.NoError(t, err)
	assert.True(t, fresh)
	wire.written.Store(&mute)
	_, err = one.Deliver(t.Context(), 2, func() { t.Error("delivered") })
	require.ErrorIs(t, err, sessionnats.ErrUnsure)
	wire.muted.Store(false)
	two, resumed, err := sessions.Resume(t.Context(), welcome.Token, welcome.Epoch, 0)
	require.NoError(t, err)
	assert.EqualValues(t, 1, resumed.Handled)
	fresh, err = two.Deliver(t.Context(), 2, func() { calls++ })
	require.NoError(t, err)
	assert.True(t, fresh)
	assert.Equal(t, 2, calls)
}

// Tokens that are made up take no room.
func TestForgedTokensTakeNoRoom(t *testing.T) {
	t.Parallel()
	store := openStore(t, sessionnats.Options{Sessions: 10})
	sessions := session.New(store, session.Options{})
	for range 10 {
		for range 5 {
			var forged [48]byte
			_, _ = rand.Read(forged[:])
			_, _, err := sessions.Resume(t.Context(), base64.RawURLEncoding.EncodeToString(forged[:]), 1, 0)
			require.ErrorIs(t, err, session.ErrToken)
		}
		_, _, err := sessions.Open(t.Context())
		require.NoError(t, err)
	}
	_, _, err := sessions.Open(t.Context())
	assert.ErrorIs(t, err, session.ErrStoreFull)
}

// That a session is not there is confirmed: one that is inserted meanwhile is found.
func TestASessionThatIsInsertedMeanwhileIsFound(t *testing.T) {
	t.Parallel()
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprint(nodes), func(t *testing.T) {
			t.Parallel()
			running, err := sessionnats.StartNodes(t.Context(), nodes, t.TempDir())
			require.NoError(t, err)
			for _, node := range running {
				t.Cleanup(node.Close)
			}
			urls := []string{running[0].URL()}
			wire := &wire{}
			one := openStore(t, sessionnats.Options{URLs: urls, Connect: []nats.Option{nats.SetCustomDialer(wire)}, Timeout: patience})
			other := openStore(t, sessionnats.Options{URLs: urls, Timeout: patience})
			for i := range 3 {
				id := fmt.Sprint("x", i)
				if i == 2 { // it has been there before
					require.NoError(t, other.Insert(t.Context(), session.State{ID: id, Epoch: 5, Attached: true}))
					require.NoError(t, other.Delete(t.Context(), id))
				}
				insert := func() {
					assert.NoError(t, other.Insert(t.Context(), session.State{ID: id, Epoch: 7, Attached: true}))
				}
				wire.written.Store(&insert) // the session was looked for, and the note is on its way
				before, err := count(t.Context(), one, id, 1)
				require.NoError(t, err)
				assert.EqualValues(t, 7, before)
			}
		})
	}
}

// What can never be opened is an error at once, and not after the time to wait for nodes.
func TestWhatCannotBeOpenedIsSaidAtOnce(t *testing.T) {
	t.Parallel()
	node, err := sessionnats.StartNode(t.Context(), sessionnats.NodeOptions{})
	require.NoError(t, err)
	defer node.Close()
	urls := []string{node.URL()}
	for want, options := range map[string]sessionnats.Options{
		"stream berth-sessions: 3 replicas need a cluster of nodes, and the node is alone": {Replicas: 3},
		"stream a: 3 replicas need a cluster of nodes, and the node is alone":              {Replicas: 3, URLs: urls, Bucket: "a"},
		"stream a: nats: API error":     {Replicas: 9, URLs: urls, Bucket: "a"},
		`"::bad" is no URL of a node`:   {URLs: []string{node.URL(), "::bad"}},
		`"" is no URL of a node`:        {URLs: []string{""}},
		`"nats://" is no URL of a node`: {URLs: []string{node.URL() + ",nats://"}},
		"an option of the connection: nats: error loading client certificate: open none: no such": {URLs: urls, Connect: []nats.Option{nil, nats.ClientCert("none", "none")}},
	} {
		_, err := sessionnats.Open(t.Context(), options) // it waits for 30 s
		assert.ErrorContains(t, err, "sessionnats: "+want)
		assert.NotErrorIs(t, err, sessionnats.ErrUnavailable)
	}
}
