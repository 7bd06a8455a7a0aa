//go:build linux

package attack

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Target is a server under attack: a process that answers every line with the same line.
type Target struct {
	Addr string
	PID  int
	// Ask makes the request for a line, and Answer the answer to it, if they are not the line
	// itself, as with a Redis server.
	Ask, Answer func(line string) string
}

// Patience is how long a good client waits for an answer before the server counts as dead.
const Patience = 10 * time.Second

func (t Target) request(line string) []byte {
	if t.Ask != nil {
		return []byte(t.Ask(line))
	}
	return []byte(line + "\n")
}

func (t Target) reply(line string) []byte {
	if t.Answer != nil {
		return []byte(t.Answer(line))
	}
	return []byte(line + "\n")
}

// Serves reports whether a new client is served within limit, and how long that took.
func (t Target) Serves(limit time.Duration) (time.Duration, error) {
	began := time.Now()
	conn, err := net.DialTimeout("tcp", t.Addr, limit)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(began.Add(limit))
	if err := t.exchange(conn, "new"); err != nil {
		return 0, err
	}
	return time.Since(began), nil
}

// exchange sends one line and checks the answer.
func (t Target) exchange(conn net.Conn, line string) error {
	if _, err := conn.Write(t.request(line)); err != nil {
		return err
	}
	want := t.reply(line)
	got := make([]byte, len(want))
	for n := 0; n < len(got); {
		m, err := conn.Read(got[n:])
		if n += m; err != nil {
			return err
		}
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("asked %q, answered %q instead of %q", line, got, want)
	}
	return nil
}

// Memory returns the process's resident memory in bytes, 0 where the system does not tell.
func (t Target) Memory() int {
	kilobytes, _ := strconv.Atoi(t.status("VmRSS:"))
	return kilobytes << 10
}

// status returns a field of /proc/PID/status.
func (t Target) status(field string) string {
	file, err := os.Open(fmt.Sprintf("/proc/%d/status", t.PID))
	if err != nil {
		return ""
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), field); ok {
			return strings.TrimSuffix(strings.TrimSpace(value), " kB")
		}
	}
	return ""
}

// Descriptors counts the files that the process has open, 0 where the system does not tell.
func (t Target) Descriptors() int {
	files, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", t.PID))
	return len(files)
}

// Processor returns the processor time that the process has used, user and system, 0 where the
// system does not tell.
func (t Target) Processor() time.Duration {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", t.PID))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), ") ") // the name before it may hold anything
	fields := strings.Fields(rest)
	const userTime, systemTime, tick = 11, 12, 10 * time.Millisecond // proc_pid_stat(5), counted from the state; USER_HZ is 100
	user, _ := strconv.Atoi(fields[userTime])
	system, _ := strconv.Atoi(fields[systemTime])
	return time.Duration(user+system) * tick
}
