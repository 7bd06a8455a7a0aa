// Cpu measures the processor time that a server takes for a request: examples/redis, redcon and
// redis-server, one after another, round by round. Redis-benchmark is the client.
//
//	go run ./cpu
//
// The figure is user and system time of the server's process, divided by the requests. Unlike the
// time on the clock it hardly depends on what else the machine does, but it is not independent of
// it: a server that is interrupted often finds more requests at once.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// server is one program that runs.
type server struct {
	name    string
	port    string
	command *exec.Cmd
}

// measured is one kind of request.
type measured struct {
	kind     string
	pipeline int
	requests int
}

func run() error {
	rounds := flag.Int("rounds", 5, "how often each is measured")
	scale := flag.Float64("scale", 1, "factor for the number of requests")
	clients := flag.Int("clients", 50, "connections")
	flag.Parse()
	benchmark, err := exec.LookPath("redis-benchmark")
	if err != nil {
		return errors.New("cpu: redis-benchmark is not installed: apt-get install redis-tools")
	}
	dir, err := os.MkdirTemp("", "cpu")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	servers, err := start(dir)
	defer func() {
		for _, s := range servers {
			_ = s.command.Process.Kill()
			_ = s.command.Wait()
		}
	}()
	if err != nil {
		return err
	}
	times := map[measured]map[string][]float64{}
	cases := []measured{{"set", 1, 100_000}, {"get", 1, 100_000}, {"set", 16, 1_000_000}, {"get", 16, 1_000_000}}
	for round := range *rounds {
		for _, c := range cases {
			if times[c] == nil {
				times[c] = map[string][]float64{}
			}
			for i := range servers {
				s := servers[(i+round)%len(servers)] // each is first, and last, equally often
				n := int(float64(c.requests) * *scale)
				used, err := s.measure(benchmark, c, n, *clients)
				if err != nil {
					return err
				}
				times[c][s.name] = append(times[c][s.name], float64(used.Nanoseconds())/1000/float64(n))
			}
		}
	}
	fmt.Printf("processor time of the server, us per request, %d clients: median of %d rounds (least, most)\n", *clients, *rounds)
	for _, c := range cases {
		fmt.Printf("%s -P %d\n", strings.ToUpper(c.kind), c.pipeline)
		peer := median(times[c]["redcon"])
		for _, s := range servers {
			all := times[c][s.name]
			fmt.Printf("  %-14s %6.2f (%.2f, %.2f)   %.2f of redcon's\n", s.name, median(all), slices.Min(all), slices.Max(all), median(all)/peer)
		}
	}
	return nil
}

func median(all []float64) float64 {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[len(sorted)/2]
}

// start builds and starts the servers. redis-server is left out where it is not installed.
func start(dir string) (servers []*server, err error) {
	begin := func(name, path string, arguments ...string) error {
		port, err := freePort()
		if err != nil {
			return err
		}
		for i := range arguments {
			arguments[i] = strings.ReplaceAll(arguments[i], "PORT", port)
		}
		s := &server{name, port, exec.Command(path, arguments...)}
		s.command.Stderr = os.Stderr
		if err := s.command.Start(); err != nil {
			return err
		}
		servers = append(servers, s)
		return s.await()
	}
	for _, b := range []struct{ name, module, target string }{
		{"examples/redis", "../../..", "./examples/redis"},
		{"redcon", ".", "./redcon"},
	} {
		path := filepath.Join(dir, filepath.Base(b.target))
		build := exec.Command("go", "build", "-o", path, b.target)
		build.Dir, build.Stderr = b.module, os.Stderr
		if err := build.Run(); err != nil {
			return servers, fmt.Errorf("cpu: building %s: %w; run it in examples/redis/peers", b.name, err)
		}
		if err := begin(b.name, path, "-addr", "127.0.0.1:PORT"); err != nil {
			return servers, err
		}
	}
	path, err := exec.LookPath("redis-server")
	if err != nil {
		fmt.Println("redis-server is not installed, and left out")
		return servers, nil
	}
	return servers, begin("redis-server", path, "--port", "PORT", "--bind", "127.0.0.1", "--save", "", "--dir", dir, "--logfile", filepath.Join(dir, "log"))
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// await waits until the server answers.
func (s *server) await() error {
	for began := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
		if err == nil {
			_, _ = conn.Write([]byte("*1\r\n$4\r\nPING\r\n"))
			_, err = bufio.NewReader(conn).ReadString('\n')
			_ = conn.Close()
		}
		if err == nil {
			return nil
		}
		if time.Since(began) > 30*time.Second {
			return fmt.Errorf("cpu: %s does not start: %w", s.name, err)
		}
	}
}

// measure sends n requests and returns the processor time that the server took for them.
func (s *server) measure(benchmark string, c measured, n, clients int) (time.Duration, error) {
	before, err := s.used()
	if err != nil {
		return 0, err
	}
	output, err := exec.Command(benchmark, "-p", s.port, "-q", "-t", c.kind, "-c", strconv.Itoa(clients),
		"-P", strconv.Itoa(c.pipeline), "-n", strconv.Itoa(n)).CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("cpu: %s with %s: %w: %s", benchmark, s.name, err, output)
	}
	after, err := s.used()
	return after - before, err
}

// used is the processor time of the process so far: fields 14 and 15 of /proc/PID/stat, in
// hundredths of a second, see proc(5).
func (s *server) used() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.command.Process.Pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name, which is field 2
	fields := strings.Fields(rest)
	var sum time.Duration
	for _, field := range fields[11:13] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, err
		}
		sum += time.Duration(n) * 10 * time.Millisecond
	}
	return sum, nil
}
