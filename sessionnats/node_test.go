package sessionnats_test

import (
	"context"
	"crypto/tls"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/session"
	"github.com/go-berth/berth/sessionnats"
)

// Without options there is a node in the process, alone. Nothing of it is left.
func TestTheZeroOptionsAreUseful(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	store, err := sessionnats.Open(t.Context(), sessionnats.Options{})
	require.NoError(t, err)
	assert.Equal(t, 1, store.Replicas())
	assert.NotNil(t, store.Node())
	_, welcome, err := session.New(store, session.Options{}).Open(t.Context())
	require.NoError(t, err)
	_, _, err = session.New(store, session.Options{}).Resume(t.Context(), welcome.Token, welcome.Epoch, 0)
	require.NoError(t, err)
	node := store.Node()
	store.Close()
	left, err := filepath.Glob(filepath.Join(temporary, "*"))
	require.NoError(t, err)
	assert.Empty(t, left)
	_, err = node.Restart(t.Context())
	assert.ErrorContains(t, err, "has lost its data")
	assert.ErrorIs(t, store.Insert(t.Context(), session.State{ID: "x"}), sessionnats.ErrUnavailable)
}

// What a node has confirmed is there after its end.
func TestANodeKeepsItsSessions(t *testing.T) {
	t.Parallel()
	options := sessionnats.Options{Node: sessionnats.NodeOptions{Dir: t.TempDir(), SyncAlways: true}}
	store, err := sessionnats.Open(t.Context(), options)
	require.NoError(t, err)
	require.NoError(t, store.Insert(t.Context(), session.State{ID: "x", Epoch: 7, Attached: true}))
	store.Close()
	store, err = sessionnats.Open(t.Context(), options)
	require.NoError(t, err)
	defer store.Close()
	before, err := count(t.Context(), store, "x", 0)
	require.NoError(t, err)
	assert.EqualValues(t, 7, before)
}

// Nodes with a secret and TLS form a cluster, and serve no client without them.
func TestASecretAndTLS(t *testing.T) {
	t.Parallel()
	server, client := setup.TLS()
	server.RootCAs = client.RootCAs
	addrs, err := sessionnats.FreeAddrs(3)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var urls []string
	for i, addr := range addrs {
		node, err := sessionnats.StartNode(ctx, sessionnats.NodeOptions{
			Name: string(rune('a' + i)), Dir: t.TempDir(), Cluster: addr, Peers: addrs, Secret: "open sesame", TLS: server,
		})
		require.NoError(t, err)
		t.Cleanup(node.Close)
		urls = append(urls, node.URL())
	}
	open := func(ctx context.Context, options ...nats.Option) error {
		store, err := sessionnats.Open(ctx, sessionnats.Options{URLs: urls, Connect: options})
		if err == nil {
			err = store.Insert(ctx, session.State{ID: "x", Attached: true})
			assert.Equal(t, 3, store.Replicas())
			store.Close()
		}
		return err
	}
	trusted := &tls.Config{RootCAs: client.RootCAs, MinVersion: tls.VersionTLS13}
	assert.NoError(t, open(ctx, nats.Token("open sesame"), nats.Secure(trusted)))
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, open(ctx, nats.Token("another"), nats.Secure(trusted)), nats.ErrAuthorization)
	assert.ErrorIs(t, open(ctx, nats.Secure(trusted)), nats.ErrAuthorization)
	assert.Error(t, open(short, nats.Token("open sesame")), "the certificate is of no authority that it knows")
}

func TestBadOptionsAreOneSentence(t *testing.T) {
	t.Parallel()
	taken, err := sessionnats.StartNode(t.Context(), sessionnats.NodeOptions{})
	require.NoError(t, err)
	defer taken.Close()
	for want, options := range map[string]sessionnats.Options{
		`node node: address x: missing port in address`:             {Node: sessionnats.NodeOptions{Addr: "x"}},
		`node node: address "x:y": the port is no number`:           {Node: sessionnats.NodeOptions{Addr: "x:y"}},
		`node node: peer "p": address p: missing port in address`:   {Node: sessionnats.NodeOptions{Peers: []string{"p"}}},
		`node node: Error listening on port`:                        {Node: sessionnats.NodeOptions{Addr: taken.URL()[len("nats://"):]}},
		`bucket "a.b": a name has letters, digits, - and _ only`:    {Bucket: "a.b"},
		`no quorum of the store answers, nothing has changed: nats`: {URLs: []string{"nats://127.0.0.1:1"}},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		_, err := sessionnats.Open(ctx, options)
		cancel()
		assert.ErrorContains(t, err, "sessionnats: "+want)
	}
	_, err = sessionnats.StartNodes(t.Context(), 0, "")
	assert.ErrorContains(t, err, "0 nodes are no cluster")
}

// A stream that is there, with settings that the guarantees do not rest on, is refused.
func TestAStreamWithOtherSettingsIsRefused(t *testing.T) {
	t.Parallel()
	store, err := sessionnats.Open(t.Context(), sessionnats.Options{})
	require.NoError(t, err)
	defer store.Close()
	_, err = store.Stream().JetStream().CreateStream(t.Context(), jetstream.StreamConfig{Name: "other", Subjects: []string{"other.*"}, AllowDirect: true})
	require.NoError(t, err)
	_, err = sessionnats.Open(t.Context(), sessionnats.Options{URLs: []string{store.Node().URL()}, Bucket: "other"})
	assert.ErrorContains(t, err, "sessionnats: stream other has other settings")
}

// A node that starts again listens where it has listened, also where that was any port.
func TestARestartedNodeHasItsAddresses(t *testing.T) {
	t.Parallel()
	node, err := sessionnats.StartNode(t.Context(), sessionnats.NodeOptions{
		Dir: t.TempDir(), Cluster: "127.0.0.1:0", Peers: []string{"127.0.0.1:1"}, // a peer that is not there
	})
	require.NoError(t, err)
	url := node.URL()
	for range 2 {
		node.Close()
		node, err = node.Restart(t.Context())
		require.NoError(t, err)
		assert.Equal(t, url, node.URL())
	}
	node.Close()
}

func TestFreeAddrsOfNoneIsNone(t *testing.T) {
	t.Parallel()
	addrs, err := sessionnats.FreeAddrs(0)
	assert.NoError(t, err)
	assert.Empty(t, addrs)
	_, err = sessionnats.FreeAddrs(-1)
	assert.EqualError(t, err, "sessionnats: -1 free addresses are asked for")
}
