package reconnect

import (
	"bufio"
	"cmp"
	"crypto/tls"
	"net"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	tcpactor "github.com/go-berth/berth/actor"
	"github.com/go-berth/berth/internal/setup"
	"github.com/go-berth/berth/listener"
)

// resetting is a server that resets its first connections after some lines, while the kernel is
// full, and serves the others.
type resetting struct {
	net.Listener
	config *tls.Config
	resets int

	serving sync.WaitGroup
	mu      sync.Mutex
	seen    map[string]int // lines, by number
}

func (s *resetting) accept() {
	defer s.serving.Done()
	for n := 0; ; n++ {
		raw, err := s.Accept()
		if err != nil {
			return
		}
		s.serving.Add(1)
		go s.serve(raw.(*net.TCPConn), n)
	}
}

func (s *resetting) serve(raw *net.TCPConn, n int) {
	defer s.serving.Done()
	defer func() { _ = raw.Close() }()
	c := tls.Server(raw, s.config)
	lines := bufio.NewReaderSize(c, 16)
	for read := 0; n >= s.resets || read < 60+n; read++ {
		if n < s.resets && read == 50+n {
			time.Sleep(10 * time.Millisecond) // the client fills the kernel
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		number, _, _ := strings.Cut(line, " ")
		s.mu.Lock()
		s.seen[number]++
		s.mu.Unlock()
	}
	_ = raw.SetLinger(0)
}

// Over TLS several records are under way at a time. The peer reads those that have come whole, also
// where the connection ends before the last one: their writes may have been sent, and are not sent
// again.
func TestWritesOfRecordsUnderWayAreNotSentTwice(t *testing.T) {
	for name, transport := range map[string]listener.Transport{"poll": listener.Poll, "stream": listener.Stream} {
		t.Run(name, func(t *testing.T) {
			small := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
				failed := c.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2048) })
				return cmp.Or(failed, err)
			}}
			l, err := small.Listen(t.Context(), "tcp", "127.0.0.1:0")
			require.NoError(t, err)
			server, client := setup.TLS()
			s := &resetting{Listener: l, config: server, resets: 40, seen: map[string]int{}}
			s.serving.Add(1)
			go s.accept()
			dialer, err := listener.NewDialer(tcpactor.NewSystem(setup.Silent()...).Root, listener.Options{Transport: transport, SendBufferSize: 4096})
			require.NoError(t, err)
			c, err := New(t.Context(), dialer, l.Addr().String(), silent, Options{
				MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
				Dial: listener.DialOptions{TLSConfig: client},
			})
			require.NoError(t, err)
			room := make(chan struct{}, 200)
			for i := range 5000 {
				room <- struct{}{}
				require.NoError(t, c.Send(Write{
					Data: []byte(strconv.Itoa(i) + strings.Repeat(" ", 400) + "\n"), Done: func(Outcome, error) { <-room },
				}))
			}
			require.NoError(t, c.Flush(t.Context()))
			assert.Positive(t, c.Info().MaybeSent)
			end(c)
			require.NoError(t, dialer.Close())
			require.NoError(t, l.Close())
			s.serving.Wait()
			assert.Greater(t, len(s.seen), 1000)
			for number, times := range s.seen {
				assert.Equal(t, 1, times, "write %s", number)
			}
		})
	}
}
