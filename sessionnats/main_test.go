package sessionnats_test

import (
	"bufio"
	"context"
	"encoding/json"
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
	goleak.VerifyTestMain(m)
}

// beNode is a node until standard input ends.
func beNode(text string) {
	var options sessionnats.NodeOptions
	if err := json.Unmarshal([]byte(text), &options); err != nil {
		panic(err)
	}
	node, err := sessionnats.StartNode(context.Background(), options)
	if err != nil {
		panic(err)
	}
	fmt.Println(node.URL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	node.Close()
}

// cluster is three nodes, each a process.
type cluster struct {
	options []sessionnats.NodeOptions
	running []*exec.Cmd // nil: killed
	urls    []string
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	const nodes = 3
	addrs, err := sessionnats.FreeAddrs(2 * nodes)
	require.NoError(t, err)
	c := &cluster{running: make([]*exec.Cmd, nodes)}
	dir := t.TempDir()
	for i := range nodes {
		name := fmt.Sprintf("node%d", i+1)
		c.options = append(c.options, sessionnats.NodeOptions{
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
	options, err := json.Marshal(c.options[i])
	require.NoError(t, err)
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), asNode+"="+string(options))
	command.Stderr = os.Stderr
	_, err = command.StdinPipe() // it ends with this process, whatever ends that
	require.NoError(t, err)
	output, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	c.running[i] = command
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, c.urls[i]+"\n", line)
}

// kill ends a node as kill -9 does.
func (c *cluster) kill(i int) {
	if command := c.running[i]; command != nil {
		c.running[i] = nil
		_ = command.Process.Kill()
		_ = command.Wait()
	}
}

func (c *cluster) open(t *testing.T, options sessionnats.Options) *sessionnats.Store {
	t.Helper()
	options.URLs = c.urls
	store, err := sessionnats.Open(t.Context(), options)
	require.NoError(t, err)
	t.Cleanup(store.Close)
	return store
}
