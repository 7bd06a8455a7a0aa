package peers

import (
	"flag"
	"net"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var requests = flag.String("requests", "5000", "requests of each kind that redis-benchmark sends")

func run(t *testing.T, input string, name string, arguments ...string) string {
	t.Helper()
	command := exec.Command(name, arguments...)
	command.Stdin = strings.NewReader(input)
	output, err := command.CombinedOutput()
	require.NoError(t, err, "%s", output)
	return string(output)
}

func TestRedisCLI(t *testing.T) {
	cli, addr := tool(t, "redis-cli"), example(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	script := "set a 'hello world'\nget a\nhset h f v\nhgetall h\nmulti\nincr n\nincr n\nexec\nnonsense\n"
	assert.Equal(t, "OK\nhello world\n1\nf\nv\nOK\nQUEUED\nQUEUED\n1\n2\nERR unknown command 'nonsense', with args beginning with: \n\n",
		run(t, script, cli, "-p", port))
	assert.Equal(t, "1# \"f\" => \"v\"\n", run(t, "hgetall h\n", cli, "-p", port, "-3", "--no-raw"))
	assert.Equal(t, "errors: 0, replies: 2\n", lastLine(run(t, "PING\r\n*1\r\n$4\r\nPING\r\n", cli, "-p", port, "--pipe")))
}

func lastLine(text string) string {
	lines := strings.SplitAfter(text, "\n")
	return lines[max(0, len(lines)-2)]
}

func TestRedisBenchmark(t *testing.T) {
	benchmark, addr := tool(t, "redis-benchmark"), example(t)
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	const kinds = "ping,set,get,incr,lpush,hset,mset,lrange_100"
	for _, pipeline := range []string{"1", "16", "64"} {
		output := run(t, "", benchmark, "-p", port, "-q", "-n", *requests, "-P", pipeline, "-t", kinds)
		assertClean(t, output, 10)
	}
	assertClean(t, run(t, "", benchmark, "-p", port, "-q", "-n", *requests, "-P", "16", "-d", "10000", "-t", "set,get"), 2)
	assertClean(t, run(t, "", benchmark, "-p", port, "-q", "-n", *requests, "-3", "-t", "set,get"), 2)
}

// assertClean wants a result of each kind and not a word of an error.
func assertClean(t *testing.T, output string, kinds int) {
	t.Helper()
	assert.Equal(t, kinds, strings.Count(output, "requests per second"), "%s", output)
	for _, bad := range []string{"rror", "WARN", "ould not"} {
		assert.NotContains(t, output, bad)
	}
}
