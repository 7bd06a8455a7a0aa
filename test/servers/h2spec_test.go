package servers

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

func TestH2Spec(t *testing.T) {
	plain := map[string]string{}
	onEach(t, web2(), func(t *testing.T, kind, addr string) {
		results := conforms(t, addr)
		if kind == "net" {
			plain = results
		}
		counts := map[string]int{}
		for _, result := range results {
			counts[result]++
		}
		t.Log(counts)
		assert.Equal(t, plain, results)
	})
}

// conforms runs h2spec's cases and returns the result of each by name.
func conforms(t *testing.T, addr string) map[string]string {
	t.Helper()
	host, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	number, err := strconv.Atoi(port)
	require.NoError(t, err)
	c := &config.Config{
		Host: host, Port: number, Path: "/", TLS: true, Insecure: true, Timeout: time.Second, MaxHeaderLen: 4000,
	}
	results := map[string]string{}
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		quietly(t, func() { group.Test(c) })
		collect(group, results)
	}
	require.NotEmpty(t, results)
	return results
}

// quietly keeps h2spec's lines, which it prints to os.Stdout, from the test's output.
func quietly(t *testing.T, do func()) {
	t.Helper()
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	require.NoError(t, err)
	out := os.Stdout
	os.Stdout = nowhere //nolint:reassign // h2spec has no other way
	defer func() {
		os.Stdout = out //nolint:reassign // as above
		_ = nowhere.Close()
	}()
	do()
}

func collect(group *spec.TestGroup, results map[string]string) {
	for i, c := range group.Tests {
		name := fmt.Sprintf("%s/%d %s", group.ID(), i+1, c.Desc)
		switch {
		case c.Result == nil:
			results[name] = "not run"
		case c.Result.Skipped:
			results[name] = "skipped"
		case c.Result.Failed:
			results[name] = "failed"
		default:
			results[name] = "passed"
		}
	}
	for _, inner := range group.Groups {
		collect(inner, results)
	}
}
