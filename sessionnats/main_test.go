package sessionnats_test

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/go-berth/berth/sessionnats"
)

// patience is how long a test waits for what comes soon. Only a failing test waits that long.
const patience = 60 * time.Second

// asNode is set in the environment of a process that is a node: its options, as JSON.
const asNode = "BERTH_TEST_NODE"

func TestMain(m *testing.M) {
	if options := os.Getenv(asNode); options != "" {
		beNode(options)
		return
	}
	_ = flag.Set("rapid.checks", "20") // each operation is a write on three nodes; a flag of the command line comes later
	goleak.VerifyTestMain(m)
}

// beNode is a node until standard input ends.
func beNode(text string) {
	var place place
	if err := json.Unmarshal([]byte(text), &place); err != nil {
		panic(err)
	}
	node, err := sessionnats.StartNode(context.Background(), sessionnats.NodeOptions{
		Name: place.Name, Dir: place.Dir, Addr: place.Addr, Cluster: place.Cluster, Peers: place.Peers,
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(node.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	node.Close()
}

// place is what a process must know to be a node.
type place struct {
	Name, Dir, Addr, Cluster string
	Peers                    []string
}

// cluster is three nodes, each a process.
type cluster struct {
	places  []place
	running []*process // nil: none
	urls    []string
}

// process is a node that runs.
type process struct {
	command *exec.Cmd
	input   io.Closer // its end ends the node in an orderly way
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	const nodes = 3
	addrs, err := sessionnats.FreeAddrs(2 * nodes)
	require.NoError(t, err)
	c := &cluster{running: make([]*process, nodes)}
	dir := t.TempDir()
	for i := range nodes {
		name := fmt.Sprintf("node%d", i+1)
		c.places = append(c.places, place{
			Name: name, Dir: filepath.Join(dir, name), Addr: addrs[i], Cluster: addrs[nodes+i], Peers: addrs[nodes:],
		})
		c.urls = append(c.urls, "nats://"+addrs[i])
	}
	t.Cleanup(func() {
		for i := range nodes {
			c.kill(i)
		}
	})
	for i := range nodes {
		c.start(t, i)
	}
	return c
}

// start starts a node that was killed, and waits until it listens.
func (c *cluster) start(t *testing.T, i int) {
	t.Helper()
	options, err := json.Marshal(c.places[i])
	require.NoError(t, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), asNode+"="+string(options))
	command.Stderr = os.Stderr
	input, err := command.StdinPipe() // it ends with this process, whatever ends that
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	c.running[i] = &process{command, input}
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, c.urls[i]+"\n", line)
}

// kill ends a node as kill -9 does.
func (c *cluster) kill(i int) {
	if p := c.running[i]; p != nil {
		c.running[i] = nil
		_ = p.command.Process.Kill()
		_ = p.command.Wait()
	}
}

// stop ends a node in an orderly way.
func (c *cluster) stop(t *testing.T, i int) {
	t.Helper()
	p := c.running[i]
	c.running[i] = nil
	require.NoError(t, p.input.Close())
	require.NoError(t, p.command.Wait())
}

// leader returns which node leads the store's stream, and the two others.
func (c *cluster) leader(t *testing.T, store *sessionnats.Store) (leader int, others []int) {
	t.Helper()
	name, err := store.Stream().Leader(t.Context())
	require.NoError(t, err)
	leader = -1
	for i, place := range c.places {
		if place.Name == name {
			leader = i
		} else {
			others = append(others, i)
		}
	}
	require.GreaterOrEqual(t, leader, 0, "no leader: %q", name)
	return leader, others
}

func (c *cluster) open(t *testing.T, options sessionnats.Options) *sessionnats.Store {
	t.Helper()
	options.URLs = c.urls
	store, err := sessionnats.Open(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return store
}
