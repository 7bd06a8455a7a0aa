package servers

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"
)

// What net/http does wrong costs h2spec a timeout each, so it is short. What differs is run again
// with a long one: a busy machine may have been late. Some cases depend on whether the server has
// finished its answer when the next frame comes, on every listener: so what passes once has passed.
func TestH2SpecHasTheSameResults(t *testing.T) {
	nothingLeft := watch(t)
	t.Cleanup(nothingLeft)
	addrs := map[string]string{}
	for _, kind := range Kinds() {
		if l, ended := open(t, kind); l != nil {
			addrs[kind] = l.Addr().String()
			stop := serveHTTP(OverTLS(l, certificate), answers)
			t.Cleanup(func() {
				assert.NoError(t, stop())
				ended()
			})
		}
	}
	results := each(addrs, func(addr string) map[string]string { return conforms(t, addr, 500*time.Millisecond) })
	for range 8 {
		again := differing(results)
		if len(again) == 0 {
			break
		}
		t.Log("run again:", again)
		for kind, latest := range each(addrs, func(addr string) map[string]string {
			return conforms(t, addr, 2*time.Second, again...)
		}) {
			for name, result := range latest {
				if results[kind][name] != "passed" {
					results[kind][name] = result
				}
			}
		}
	}
	for kind := range addrs {
		counts := map[string]int{}
		for _, result := range results[kind] {
			counts[result]++
		}
		t.Log(kind, counts)
		assert.Greater(t, counts["passed"], 100)
		assert.Equal(t, results["net"], results[kind])
	}
}

// answers has a body for requests without one: a stream without room for it stays open, as some
// cases of h2spec require.
var answers = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	_, _ = w.Write(Payload(100))
})

// each calls do for all addresses at once.
func each[T any](addrs map[string]string, do func(addr string) T) map[string]T {
	var mu sync.Mutex
	var all sync.WaitGroup
	results := map[string]T{}
	for kind, addr := range addrs {
		all.Go(func() {
			result := do(addr)
			mu.Lock()
			defer mu.Unlock()
			results[kind] = result
		})
	}
	all.Wait()
	return results
}

// differing returns the cases that do not have the same result everywhere.
func differing(results map[string]map[string]string) (some []string) {
	for _, one := range results {
		for name, result := range one {
			for _, other := range results {
				if other[name] != result && !slices.Contains(some, name) {
					some = append(some, name)
				}
			}
		}
	}
	return some
}

// conforms runs h2spec's cases, or some of them, and returns the result of each by name. It returns
// nothing if h2spec has given up.
//
// h2spec prints to os.Stdout, has variables that all runs share, and ends the process where it
// cannot connect: so it runs in a process of its own, which is this program.
func conforms(t *testing.T, addr string, timeout time.Duration, some ...string) map[string]string {
	t.Helper()
	asked := question{Addr: addr, Timeout: timeout, File: filepath.Join(t.TempDir(), "results")}
	for _, name := range some {
		section, _, _ := strings.Cut(name, " ")
		asked.Sections = append(asked.Sections, section)
	}
	encoded, err := json.Marshal(asked)
	if !assert.NoError(t, err) {
		return nil
	}
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), asksH2Spec+"="+string(encoded))
	printed, err := command.CombinedOutput()
	if err != nil {
		t.Logf("h2spec: %v, after %d bytes of output, at the end: %s", err, len(printed), printed[max(0, len(printed)-200):])
		return map[string]string{}
	}
	file, err := os.ReadFile(asked.File)
	assert.NoError(t, err)
	results := map[string]string{}
	assert.NoError(t, json.Unmarshal(file, &results))
	return results
}

// asksH2Spec is the environment variable that makes this program h2spec.
const asksH2Spec = "BERTH_H2SPEC"

// question is its value.
type question struct {
	Addr     string
	Timeout  time.Duration
	Sections []string // none: all
	File     string   // for the results
}

// beH2Spec answers the question, if there is one. Then it does not return.
func beH2Spec() {
	encoded, asked := os.LookupEnv(asksH2Spec)
	if !asked {
		return
	}
	if err := answer(encoded); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	os.Exit(0)
}

func answer(encoded string) error {
	var asked question
	if err := json.Unmarshal([]byte(encoded), &asked); err != nil {
		return err
	}
	addr, err := net.ResolveTCPAddr("tcp", asked.Addr)
	if err != nil {
		return err
	}
	c := &config.Config{
		Host: addr.IP.String(), Port: addr.Port, Path: "/", TLS: true, Insecure: true,
		Timeout: asked.Timeout, MaxHeaderLen: 4000, Sections: asked.Sections,
	}
	results := map[string]string{}
	for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
		group.Test(c)
		collect(group, results)
	}
	told, err := json.Marshal(results)
	if err != nil {
		return err
	}
	return os.WriteFile(asked.File, told, 0o600)
}

func collect(group *spec.TestGroup, results map[string]string) {
	for i, c := range group.Tests {
		if c.Result == nil {
			continue // it is one of the strict cases, or not asked for
		}
		name := fmt.Sprintf("%s/%d %s", group.ID(), i+1, c.Desc)
		switch {
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
