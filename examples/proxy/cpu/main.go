// Cpu measures the processor time of examples/proxy beside that of a plain proxy in Go, which has
// two goroutines with io.Copy for each client. The plain one does not splice: its bytes go through
// the process too, as they must wherever a proxy looks at them. Linux only.
//
//	go run ./examples/proxy/cpu
//
// The figure is user and system time of the proxy's process. The proxies take turns in short
// rounds, and a ratio is taken within its round, so that other load of the machine meets both. It
// is the median of the rounds, with the extremes.
package main

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "cpu:", err)
		os.Exit(1)
	}
}

// load is a kind of traffic. One unit is a message there and back, or a MiB in one direction.
type load struct {
	name    string
	clients int
	unit    string
	drive   func(conn net.Conn, units *atomic.Int64) error // until the connection ends
	answers bool                                           // the server behind echoes; otherwise it discards
}

var loads = []load{
	{"64 B ping-pong", 1, "message", pingPong, true},
	{"64 B ping-pong", 50, "message", pingPong, true},
	{"bulk", 4, "MiB", bulk, false},
}

func run() error {
	rounds := flag.Int("rounds", 9, "how often each is measured")
	each := flag.Duration("duration", time.Second, "how long")
	plain := flag.String("plain", "", "be the plain proxy, to this address")
	flag.Parse()
	if *plain != "" {
		return servePlain(*plain)
	}
	dir, err := os.MkdirTemp("", "cpu")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path := filepath.Join(dir, "proxy")
	if output, err := exec.Command("go", "build", "-o", path, "./examples/proxy").CombinedOutput(); err != nil {
		return fmt.Errorf("run it at the root of the repository: %w: %s", err, output)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, l := range loads {
		if err := l.compare(path, self, *rounds, *each); err != nil {
			return err
		}
	}
	return nil
}

// compare prints the figures of one kind of traffic.
func (l load) compare(berth, self string, rounds int, each time.Duration) error {
	behind, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer behind.Close()
	go l.behind(behind)
	to := behind.Addr().String()
	var proxies [2]*proxy
	defer func() {
		for _, p := range proxies {
			p.stop()
		}
	}()
	for i, command := range []*exec.Cmd{
		exec.Command(self, "-plain", to),
		exec.Command(berth, "-listen", "127.0.0.1:0", "-to", to),
	} {
		if proxies[i], err = start(command); err != nil {
			return err
		}
	}
	var costs, rates []float64 // of Berth, as ratios to the plain proxy's
	var figures [2][]float64
	for round := range rounds {
		var cost, rate [2]float64
		for i := range proxies {
			i = (i + round) % 2
			if cost[i], rate[i], err = l.measure(proxies[i], each); err != nil {
				return err
			}
			figures[i] = append(figures[i], cost[i])
		}
		costs, rates = append(costs, cost[1]/cost[0]), append(rates, rate[1]/rate[0])
	}
	fmt.Printf("%s, %d connections: plain %.2f us per %s, Berth %.2f; processor time %s, rate %s of plain Go's\n",
		l.name, l.clients, median(figures[0]), l.unit, median(figures[1]), ratio(costs), ratio(rates))
	return nil
}

func ratio(all []float64) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f)", median(all), slices.Min(all), slices.Max(all))
}

func median(all []float64) float64 {
	return slices.Sorted(slices.Values(all))[len(all)/2]
}

// measure returns microseconds of processor time per unit, and units per second.
func (l load) measure(p *proxy, each time.Duration) (cost, rate float64, err error) {
	var units atomic.Int64
	var driving sync.WaitGroup
	var conns []net.Conn
	defer func() {
		for _, conn := range conns {
			_ = conn.Close()
		}
		driving.Wait()
	}()
	for range l.clients {
		conn, err := net.Dial("tcp", p.addr)
		if err != nil {
			return 0, 0, err
		}
		conns = append(conns, conn)
		driving.Go(func() { _ = l.drive(conn, &units) }) // its error is the end of the round
	}
	time.Sleep(each / 4)
	used, n, began := p.used(), units.Load(), time.Now()
	time.Sleep(each)
	used, n = p.used()-used, units.Load()-n
	took := time.Since(began)
	if n == 0 {
		return 0, 0, errors.New("nothing went through " + p.command.Path)
	}
	return float64(used.Microseconds()) / float64(n), float64(n) / took.Seconds(), nil
}

func pingPong(conn net.Conn, units *atomic.Int64) error {
	message := make([]byte, 64)
	for {
		if _, err := conn.Write(message); err != nil {
			return err
		}
		if _, err := io.ReadFull(conn, message); err != nil {
			return err
		}
		units.Add(1)
	}
}

func bulk(conn net.Conn, units *atomic.Int64) error {
	piece := make([]byte, 64<<10)
	for {
		for range 16 {
			if _, err := conn.Write(piece); err != nil {
				return err
			}
		}
		units.Add(1)
	}
}

// behind is the server that the proxies connect to. It ends with its listener; each connection ends
// with the proxy's.
func (l load) behind(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			var to io.Writer = conn
			if !l.answers {
				to = io.Discard
			}
			_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{conn}, make([]byte, 64<<10))
		}()
	}
}

// servePlain is the proxy to compare with.
func servePlain(to string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println("listening on", l.Addr())
	for {
		client, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			server, err := net.Dial("tcp", to)
			if err != nil {
				_ = client.Close()
				return
			}
			var both sync.WaitGroup
			for from, to := range map[net.Conn]net.Conn{client: server, server: client} {
				both.Go(func() {
					_, _ = io.Copy(struct{ io.Writer }{to}, struct{ io.Reader }{from}) // by hand: no splice
					_ = to.(*net.TCPConn).CloseWrite()
				})
			}
			both.Wait()
			_, _ = client.Close(), server.Close()
		}()
	}
}

// proxy is one that runs.
type proxy struct {
	command *exec.Cmd
	addr    string
}

func start(command *exec.Cmd) (*proxy, error) {
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	p := &proxy{command: command}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	addr, found := strings.CutPrefix(line, "listening on ")
	if !found {
		p.stop()
		return nil, fmt.Errorf("%s does not listen: %w", command.Path, err)
	}
	p.addr = strings.TrimSpace(addr)
	return p, nil
}

// stop ends a proxy that was started.
func (p *proxy) stop() {
	if p == nil {
		return
	}
	_ = p.command.Process.Kill()
	_ = p.command.Wait()
}

// used is the processor time of the process so far: fields 14 and 15 of /proc/PID/stat, in
// hundredths of a second, see proc(5). It is 0 where the process has ended.
func (p *proxy) used() (sum time.Duration) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.command.Process.Pid))
	_, rest, _ := strings.Cut(string(text), ") ") // behind the name, which is field 2
	if fields := strings.Fields(rest); len(fields) > 12 {
		for _, field := range fields[11:13] {
			n, _ := strconv.Atoi(field)
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}
